# Spot first, On-Demand if Spot has no capacity. A job's progress survives the loss of its instance, so Spot is safe here.

locals {
  job_definition = "${var.name}-transcode"
}

resource "aws_launch_template" "machine" {
  name        = "${var.name}-machine"
  description = "Instances that run containers of ${var.name}"

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.scratch_gib
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  # A hop limit of 1 keeps containers with their own network from the instance's credentials. AWS Batch runs containers in the
  # instance's network, which it does not limit. What decodes uploaded files in them can open no socket: docs/security.md.
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

locals {
  compute_environments = { for name, each in {
    spot      = { type = "SPOT", allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED", max_vcpus = var.spot_max_vcpus }
    on-demand = { type = "EC2", allocation_strategy = "BEST_FIT_PROGRESSIVE", max_vcpus = var.on_demand_max_vcpus }
  } : name => each if each.max_vcpus > 0 }
}

resource "aws_batch_compute_environment" "machines" {
  for_each                        = local.compute_environments
  compute_environment_name_prefix = "${var.name}-${each.key}-"
  type                            = "MANAGED"
  state                           = "ENABLED"
  service_role                    = aws_iam_role.actors["service"].arn

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
      image_type = "ECS_AL2023"
    }
    launch_template {
      launch_template_id = aws_launch_template.machine.id
      version            = aws_launch_template.machine.latest_version
    }
  }

  # AWS Batch needs the role's permissions until the last instance is terminated.
  depends_on = [aws_iam_role_policy_attachment.aws_managed]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_job_queue" "containers" {
  name     = var.name
  state    = "ENABLED"
  priority = 1

  dynamic "compute_environment_order" {
    for_each = [for name in ["spot", "on-demand"] : name if contains(keys(local.compute_environments), name)]

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
