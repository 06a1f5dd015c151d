resource "aws_cloudwatch_log_group" "containers" {
  name              = "/${var.name}/containers"
  retention_in_days = var.log_retention_days
}

# For web, worker, beat and Flower.
resource "aws_cloudwatch_log_group" "site" {
  name              = "/${var.name}/site"
  retention_in_days = var.log_retention_days
}
