output "site_environment" {
  description = "Environment of web, Celery worker, beat and listener, in addition to DATABASE_URL, REDIS_URL, SECRET_KEY, ALLOWED_HOSTS and MEDIA_BASE_URL."
  value = merge(local.container_settings, {
    LOG_FORMAT                  = "json"
    VIDEO_BATCH_EVENT_QUEUE_URL = aws_sqs_queue.events.url
    VIDEO_BATCH_HELPER_QUEUE    = try(aws_batch_job_queue.containers["helpers"].name, "")
    VIDEO_BATCH_ON_DEMAND_QUEUE = try(aws_batch_job_queue.containers["on-demand"].name, "")
  })
}

output "repository_url" {
  description = "URL of the registry to push the image to."
  value       = aws_ecr_repository.image.repository_url
}

output "job_definition" {
  description = "Registered job definition as name:revision. Null until image_digest is set."
  value       = one([for each in aws_batch_job_definition.transcode : "${each.name}:${each.revision}"])
}

output "job_queue_arns" {
  description = "ARNs of the job queues, by what they are for."
  value       = { for key, each in aws_batch_job_queue.containers : key => each.arn }
}

output "bucket" {
  description = "Name of the bucket with uploads and publications."
  value       = aws_s3_bucket.media.id
}

output "site_role_arn" {
  description = "ARN of the role for web, Celery worker, beat and listener."
  value       = aws_iam_role.actors["site"].arn
}

output "execution_role_arn" {
  description = "ARN of the role that starts the containers. It can read only their secrets, so ECS services of the site need a separate role."
  value       = aws_iam_role.actors["execution"].arn
}

output "site_log_group" {
  description = "Log group for web, worker, beat, listener and Flower. The site's alarms use it."
  value       = aws_cloudwatch_log_group.site.name
}

output "containers_security_group_id" {
  description = "Security group of the containers' instances. PostgreSQL must allow inbound traffic from it."
  value       = aws_security_group.containers.id
}

output "vpc_id" {
  description = "ID of the VPC of the containers' instances."
  value       = local.vpc_id
}

output "subnet_ids" {
  description = "IDs of the subnets of the containers' instances."
  value       = local.subnet_ids
}

output "alarm_topic_arn" {
  description = "ARN of the SNS topic for the alarms."
  value       = aws_sns_topic.alarms.arn
}
