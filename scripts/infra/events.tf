# Events: AWS Batch and EC2 -> EventBridge -> SQS -> `manage.py listen`. Without a listener they expire after a day, and the site polls.

locals {
  event_rules = {
    # Only the Batch jobs of our queues: the detail is a job as DescribeJobs returns it.
    batch = {
      description = "What happens to the Batch jobs of ${var.name}"
      pattern = {
        source        = ["aws.batch"]
        "detail-type" = ["Batch Job State Change", "Batch Job Queue Blocked"]
        detail        = { jobQueue = [for each in aws_batch_job_queue.containers : each.arn] }
      }
    }
    # EC2 has no way to filter by owner: the site ignores machines on which it has no container.
    spot = {
      description = "Spot machines that EC2 takes back in two minutes"
      pattern = {
        source        = ["aws.ec2"]
        "detail-type" = ["EC2 Spot Instance Interruption Warning"]
      }
    }
  }
}

# The policies are part of the queues, with ARNs from names: as resources of their own, each would wait half a minute for SQS.
locals {
  event_queue_names = { events = "${var.name}-events", dead_events = "${var.name}-events-dead" }
}

# SSE-SQS, because EventBridge may not use AWS's own KMS key. The events contain the containers' environment, which has no secrets.
resource "aws_sqs_queue" "events" {
  name                       = local.event_queue_names.events
  visibility_timeout_seconds = 60 # above ten times event_time_limit_s
  message_retention_seconds  = 86400
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  policy                     = data.aws_iam_policy_document.event_queues["events"].json
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_events.arn
    maxReceiveCount     = 3
  })
}

# What no listener could apply, and what EventBridge could not deliver.
resource "aws_sqs_queue" "dead_events" {
  name                      = local.event_queue_names.dead_events
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.event_queues["dead_events"].json
}

data "aws_iam_policy_document" "event_queues" {
  for_each = local.event_queue_names

  statement {
    sid       = "FromOurRules"
    actions   = ["sqs:SendMessage"]
    resources = ["arn:${local.partition}:sqs:${var.region}:${local.account_id}:${each.value}"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for name in keys(local.event_rules) : "arn:${local.partition}:events:${var.region}:${local.account_id}:rule/${var.name}-events-${name}"]
    }
  }
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each      = local.event_rules
  name          = "${var.name}-events-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = local.event_rules
  rule     = aws_cloudwatch_event_rule.events[each.key].name
  arn      = aws_sqs_queue.events.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_events.arn
  }
}

locals {
  event_alarms = {
    events-undelivered = {
      queue       = aws_sqs_queue.dead_events.name
      metric      = "ApproximateNumberOfMessagesVisible"
      at_least    = 1
      description = "Events of AWS Batch could not be applied, or not be delivered to the queue."
    }
    events-waiting = {
      queue       = aws_sqs_queue.events.name
      metric      = "ApproximateAgeOfOldestMessage"
      at_least    = 300
      description = "Events of AWS Batch wait in the queue: no listener runs, or they are too few. Attempts are polled meanwhile."
    }
  }
}

# SQS's own metrics.
resource "aws_cloudwatch_metric_alarm" "events" {
  for_each            = var.site_alarms ? local.event_alarms : {}
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.at_least
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
