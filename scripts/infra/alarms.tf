# Alarms on the metrics that the metrics tick writes to the site's log once a minute (tasks/metrics/log_line.py); CloudWatch reads them from
# the line METRICS. docs/operations.md explains each alarm and what to do about it.

locals {
  # Most alarms fire as soon as their value is reached once.
  once = { statistic = "Sum", at_least = 1, period_s = 900, periods = 1, of_periods = 1 }
  # Values that a healthy site may reach for a minute.
  lasting = { statistic = "Maximum", at_least = 1, period_s = 60, periods = 3, of_periods = 5 }

  site_alarms = {
    tick-failed = merge(local.lasting, {
      metric      = "FailingTicks"
      description = "A tick fails or does not run: submit, observe, rescue, or one that removes what is no longer needed."
    })
    queue-stuck = merge(local.lasting, {
      metric      = "StuckSeconds"
      description = "Work has waited for half an hour, and no container works."
      at_least    = 1800
    })
    uploads-waiting = merge(local.lasting, {
      metric      = "OldestWaitingUploadSeconds"
      description = "An upload waits for its first container for longer than upload_wait_s."
      at_least    = var.upload_wait_s
    })
    jobs-dead = merge(local.once, {
      metric      = "JobsDead"
      description = "A job is DEAD: its attempts are exhausted, and an operator has to act."
    })
    disk-full = merge(local.once, {
      metric      = "DisksFull"
      description = "Several containers found no room on the disks of their machines, or the disks failed."
      at_least    = 3
      period_s    = 3600
    })
    heartbeats-late = merge(local.lasting, {
      metric      = "LateHeartbeats"
      description = "Several containers cannot reach the database, or were lost at the same time."
      at_least    = var.late_heartbeats
    })
    aws-calls-failed = merge(local.once, {
      metric      = "AwsCallsFailed"
      description = "AWS Batch denies or throttles the site's calls, or is unreachable."
      at_least    = 10
      period_s    = 600
    })
    jobs-failed = merge(local.once, {
      metric      = "JobsRejected"
      description = "Many uploads were rejected because they cannot be transcoded."
      at_least    = var.failed_jobs_per_hour
      period_s    = 3600
    })
    attempts-failed = merge(local.once, {
      metric      = "AttemptsFailed"
      description = "Many containers failed: storage, database, settings or the encoder."
      at_least    = var.failed_attempts_per_hour
      period_s    = 3600
    })
    deliveries-waiting = merge(local.lasting, {
      metric      = "OldestUndeliveredSeconds"
      description = "An event (signal, webhook or mail) has not reached one of its receivers for an hour."
      at_least    = 3600
    })
    database-large = merge(local.lasting, {
      metric      = "DatabaseBytes"
      description = "The database is larger than database_alarm_gib."
      at_least    = var.database_alarm_gib * 1024 * 1024 * 1024
    })
  }
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each            = var.site_alarms ? local.site_alarms : {}
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "Batchreel"
  metric_name         = each.value.metric
  dimensions          = { Site = local.bridge_settings.job_name_prefix }
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.at_least
  period              = each.value.period_s
  evaluation_periods  = each.value.of_periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# The only alarm that missing metrics raise. The others then have no data.
resource "aws_cloudwatch_metric_alarm" "no_tick" {
  count               = var.site_alarms ? 1 : 0
  alarm_name          = "${var.name}-no-tick"
  alarm_description   = "No metrics tick has run for 5 minutes: beat, worker, Redis or the database is down."
  namespace           = "Batchreel"
  metric_name         = "FailingTicks"
  dimensions          = { Site = local.bridge_settings.job_name_prefix }
  statistic           = "SampleCount"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# What no metric has is a line in a log: what only a container can see, and what the rescue tick notices.
locals {
  line_alarms = merge(
    {
      sandbox = {
        log_group   = aws_cloudwatch_log_group.containers.name
        pattern     = "{ $.event = \"SANDBOX\" && $.level = \"WARNING\" }"
        description = "A container's machine lacks a wall around ffmpeg, which decodes files of strangers."
      }
    },
    var.site_alarms ? {
      containers-cut-off = {
        log_group   = aws_cloudwatch_log_group.site.name
        pattern     = "{ $.event = \"CONTAINERS_CUT_OFF\" }"
        description = "Many containers are silent at once: they cannot reach the database."
      }
    } : {},
  )
}

resource "aws_cloudwatch_log_metric_filter" "lines" {
  for_each       = local.line_alarms
  name           = "${var.name}-${each.key}"
  log_group_name = each.value.log_group
  pattern        = each.value.pattern

  metric_transformation {
    name      = each.key
    namespace = var.name
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "lines" {
  for_each            = local.line_alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = var.name
  metric_name         = aws_cloudwatch_log_metric_filter.lines[each.key].metric_transformation[0].name
  statistic           = "Sum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 900
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

data "aws_iam_policy_document" "alarm_topic" {
  statement {
    sid       = "AlarmsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  # EventBridge supports no condition in a topic's policy.
  statement {
    sid       = "BlockedQueue"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarm_topic.json
}

# AWS Batch's own event when the job at the head of the queue cannot start, with the reason.
resource "aws_cloudwatch_event_rule" "queue_blocked" {
  name        = "${var.name}-queue-blocked"
  description = "AWS Batch cannot start the job at the head of the queue"
  event_pattern = jsonencode({
    source        = ["aws.batch"]
    "detail-type" = ["Batch Job Queue Blocked"]
    # Without Spot capacity helpers wait, which delays nobody else.
    resources = [for key, each in aws_batch_job_queue.containers : each.arn if key != "helpers"]
  })
}

resource "aws_cloudwatch_event_target" "queue_blocked" {
  rule = aws_cloudwatch_event_rule.queue_blocked.name
  arn  = aws_sns_topic.alarms.arn
}
