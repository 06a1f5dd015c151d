output "site_environment" {
  description = "Environment of web, Celery worker and beat, beside DATABASE_URL, REDIS_URL, SECRET_KEY, ALLOWED_HOSTS and MEDIA_BASE_URL."
  value       = merge(local.container_settings, { LOG_FORMAT = "json" })
}

output "repository_url" {
  description = "Where to push the image."
  value       = aws_ecr_repository.image.repository_url
}

output "job_definition" {
  description = "The registered revision, name:number; null until an image is named."
  value       = one([for each in aws_batch_job_definition.transcode : "${each.name}:${each.revision}"])
}

output "job_queue_arn" {
  description = "The job queue."
  value       = aws_batch_job_queue.containers.arn
}

output "bucket" {
  description = "The bucket of uploads and publications."
  value       = aws_s3_bucket.media.id
}

output "site_role_arn" {
  description = "Role for web, Celery worker and beat."
  value       = aws_iam_role.actors["site"].arn
}

output "execution_role_arn" {
  description = "Role that starts the containers: it reads their secrets and no others, so ECS services of the site need one of their own."
  value       = aws_iam_role.actors["execution"].arn
}

output "site_log_group" {
  description = "Log group for web, worker, beat and Flower. Alarms read it."
  value       = aws_cloudwatch_log_group.site.name
}

output "containers_security_group_id" {
  description = "Security group of the containers' machines: PostgreSQL must let it in."
  value       = aws_security_group.containers.id
}

output "vpc_id" {
  description = "The VPC of the containers' machines."
  value       = local.vpc_id
}

output "subnet_ids" {
  description = "The subnets of the containers' machines."
  value       = local.subnet_ids
}

output "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  value       = aws_sns_topic.alarms.arn
}
