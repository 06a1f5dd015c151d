# The settings that site and container must share, in one place. Containers get them as SSM parameters: plain settings, no secrets.

locals {
  bridge_settings = merge(
    {
      job_name_prefix    = var.name
      image              = local.image
      job_role_arn       = aws_iam_role.actors["container"].arn
      execution_role_arn = aws_iam_role.actors["execution"].arn
      log_group          = aws_cloudwatch_log_group.containers.name
      secrets            = local.container_secrets
      vcpus              = var.vcpus
      memory_mib         = var.memory_mib
      attempt_timeout_s  = var.attempt_timeout_s
    },
    var.bridge_settings,
  )

  container_settings = {
    AWS_DEFAULT_REGION         = var.region
    BATCHREEL                  = jsonencode(local.bridge_settings)
    STORAGE_BUCKET             = aws_s3_bucket.media.id
    VIDEO_BATCH_JOB_DEFINITION = local.job_definition
    VIDEO_BATCH_JOB_QUEUE      = aws_batch_job_queue.containers["leads"].name
  }

  # Built from names, not from resources, because BATCHREEL contains the ARN of its own parameter.
  settings_arns = {
    for name in ["AWS_DEFAULT_REGION", "BATCHREEL", "STORAGE_BUCKET", "VIDEO_BATCH_JOB_DEFINITION", "VIDEO_BATCH_JOB_QUEUE"] :
    name => "arn:${local.partition}:ssm:${var.region}:${local.account_id}:parameter/${var.name}/settings/${name}"
  }

  container_secrets = merge(local.settings_arns, var.secret_arns)
}

resource "aws_ssm_parameter" "settings" {
  for_each    = local.settings_arns
  name        = "/${var.name}/settings/${each.key}"
  description = "Setting of the containers of ${var.name}"
  type        = "String"
  value       = local.container_settings[each.key]
}
