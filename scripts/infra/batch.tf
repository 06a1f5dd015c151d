# Spot first, On-Demand if Spot has no capacity. A job's progress survives the loss of its instance, so Spot is safe here.

locals {
  job_definition = "${var.name}-transcode"
  container_uid  = 10001 # of the user in worker_image/Dockerfile

  # `<n>xlarge` has 4 * n vCPUs in every family.
  vcpus_of_type = {
    for type in var.instance_types :
    type => try(4 * tonumber(regex("[.]([0-9]+)xlarge$", type)[0]), endswith(type, ".xlarge") ? 4 : 2)
  }

  # All sizes share one launch template, so the disk is that of the largest: 20 GiB for its own image and ours, and 8 GiB for each vCPU.
  # That is 16 GiB for a container of 2 vCPUs: a lecture of 3 hours at 10 Mbit/s has 12.6 GiB, and scratch_reserve_mib adds 2.
  scratch_gib = coalesce(var.scratch_gib, 20 + 8 * max(values(local.vcpus_of_type)...))

  graviton   = alltrue([for type in var.instance_types : can(regex("^(a1|[a-z]+[0-9]+g[a-z]*)[.]", type))])
  ami_folder = "/aws/service/ecs/optimized-ami/amazon-linux-2023${local.graviton ? "/arm64" : ""}/recommended"
}

# AWS Batch never replaces the AMI of an existing compute environment. Named here, each apply brings the machines to the newest one.
data "aws_ssm_parameter" "machine_image" {
  count = var.machine_image_id == null ? 1 : 0
  name  = "${local.ami_folder}/image_id"
}

resource "aws_launch_template" "machine" {
  name        = "${var.name}-machine"
  description = "Instances that run containers of ${var.name}"
  user_data = base64encode(templatefile("${path.module}/machine_user_data.tftpl", {
    container_uid = local.container_uid
  }))

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = local.scratch_gib
      volume_type           = "gp3"
      throughput            = var.scratch_mib_per_s
      encrypted             = true
      delete_on_termination = true
    }
  }

  # The hop limit of 1 is for anything with a network of its own. Containers of AWS Batch use the instance's: the user data rejects them.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge({ application = var.name }, var.tags)
  }

  # A change of tags alone must not create a new template version and replace the instances. The local endpoint also returns the
  # template's own tags here.
  lifecycle {
    ignore_changes = [tag_specifications]
  }
}

# SPOT_CAPACITY_OPTIMIZED, although AWS recommends SPOT_PRICE_CAPACITY_OPTIMIZED: version 5 of the provider does not know that AWS Batch can
# update environments with the latter in place, and replaces them.

locals {
  compute_environments = { for name, each in {
    spot      = { type = "SPOT", allocation_strategy = "SPOT_CAPACITY_OPTIMIZED", max_vcpus = var.spot_max_vcpus }
    on-demand = { type = "EC2", allocation_strategy = "BEST_FIT_PROGRESSIVE", max_vcpus = var.on_demand_max_vcpus }
  } : name => each if each.max_vcpus > 0 }
}

# Without service_role, AWS Batch uses its service-linked role AWSServiceRoleForBatch. Only with that one can it change image, launch
# template and instance types in place (user guide, "Perform infrastructure updates"); with any other role, Terraform would replace the
# environment, and deleting the old one terminates its instances with all running containers.
resource "aws_batch_compute_environment" "machines" {
  for_each                        = local.compute_environments
  compute_environment_name_prefix = "${var.name}-${each.key}-"
  type                            = "MANAGED"
  state                           = "ENABLED"

  compute_resources {
    type                = each.value.type
    allocation_strategy = each.value.allocation_strategy
    instance_role       = aws_iam_instance_profile.instance.arn
    instance_type       = var.instance_types
    min_vcpus           = 0
    max_vcpus           = each.value.max_vcpus
    subnets             = local.subnet_ids
    security_group_ids  = [aws_security_group.containers.id]
    tags                = merge({ Name = "${var.name}-${each.key}", application = var.name }, var.tags)

    ec2_configuration {
      image_type        = "ECS_AL2023"
      image_id_override = coalesce(var.machine_image_id, one(data.aws_ssm_parameter.machine_image[*].insecure_value))
    }
    launch_template {
      launch_template_id = aws_launch_template.machine.id
      version            = aws_launch_template.machine.latest_version
    }
  }

  # During an update, running containers may finish on their old instances, for at most this time: the longest that the provider accepts.
  # New ones start on new instances. One that is still running then ends as HOST_LOST: not counted, and its finished units are kept.
  dynamic "update_policy" {
    for_each = var.local_endpoint ? [] : [360]

    content {
      job_execution_timeout_minutes = update_policy.value
      terminate_jobs_on_update      = false
    }
  }

  # The instances need their role's permissions until the last one is terminated.
  depends_on = [aws_iam_role_policy_attachment.aws_managed]

  lifecycle {
    create_before_destroy = true
  }
}

# Leads go to the first queue: Spot, or On-Demand while Spot has no machine. Helpers never wait before a lead: where two queues share an
# environment, AWS Batch serves the one of higher priority first. The third is for leads that Spot failed.
locals {
  job_queues = { for key, each in {
    leads     = { name = var.name, priority = 10, environments = ["spot", "on-demand"] }
    helpers   = { name = "${var.name}-helpers", priority = 1, environments = ["spot"] }
    on-demand = { name = "${var.name}-on-demand", priority = 10, environments = ["on-demand"] }
    } : key => merge(each, { environments = [for name in each.environments : name if contains(keys(local.compute_environments), name)] })
    if length(setintersection(each.environments, keys(local.compute_environments))) > 0
  }
}

resource "aws_batch_job_queue" "containers" {
  for_each = local.job_queues
  name     = each.value.name
  state    = "ENABLED"
  priority = each.value.priority

  dynamic "compute_environment_order" {
    for_each = each.value.environments

    content {
      order               = compute_environment_order.key + 1
      compute_environment = aws_batch_compute_environment.machines[compute_environment_order.value].arn
    }
  }

  dynamic "job_state_time_limit_action" {
    for_each = var.local_endpoint ? {} : var.runnable_limits_s

    content {
      state            = "RUNNABLE"
      reason           = job_state_time_limit_action.key
      max_time_seconds = job_state_time_limit_action.value
      action           = "CANCEL"
    }
  }
}

# The job definition comes from the code: render_job_definition.py writes job_definition.json.tftpl from tasks/batch/definition.py.
# Only the secrets are added here, because their number differs between sites.

locals {
  rendered = jsondecode(templatefile("${path.module}/job_definition.json.tftpl", {
    name               = var.name
    job_definition     = local.job_definition
    region             = var.region
    image              = local.image
    job_role_arn       = aws_iam_role.actors["container"].arn
    execution_role_arn = aws_iam_role.actors["execution"].arn
    log_group          = aws_cloudwatch_log_group.containers.name
    vcpus              = var.vcpus
    memory_mib         = var.memory_mib
    attempt_timeout_s  = var.attempt_timeout_s
  }))
  image = var.image_digest == null ? "" : "${aws_ecr_repository.image.repository_url}@${var.image_digest}"
}

resource "aws_batch_job_definition" "transcode" {
  count                 = var.image_digest == null ? 0 : 1
  name                  = local.rendered.jobDefinitionName
  type                  = local.rendered.type
  parameters            = local.rendered.parameters
  platform_capabilities = local.rendered.platformCapabilities
  propagate_tags        = local.rendered.propagateTags

  container_properties = jsonencode(merge(local.rendered.containerProperties, {
    secrets = [for name, arn in local.container_secrets : { name = name, valueFrom = arn }]
  }))

  # AWS Batch itself never retries: only the site decides why an attempt ended and whether it counts.
  retry_strategy {
    attempts = local.rendered.retryStrategy.attempts
  }

  timeout {
    attempt_duration_seconds = tonumber(local.rendered.timeout.attemptDurationSeconds)
  }

  lifecycle {
    create_before_destroy = true
  }
}
