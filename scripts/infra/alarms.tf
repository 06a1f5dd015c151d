# Alarms on log lines of the code: JSON, from the containers and from the site's Celery worker. docs/operations.md explains each alarm and
# what to do about it.

locals {
  # Most alarms fire on one matching line. With `fewer`, an alarm fires on too few lines.
  one_line = { threshold = 1, period_s = 900, fewer = false }

  site_alarms = {
    jobs-dead = merge(local.one_line, {
      pattern     = "{ $.event = \"JOB_DEAD\" }"
      description = "A job is DEAD: its attempts are exhausted, and an operator has to act."
    })
    jobs-waiting = merge(local.one_line, {
      pattern     = "{ $.event = \"BATCH_JOB_WAITING\" }"
      description = "AWS Batch has not started an attempt in time."
    })
    jobs-overdue = merge(local.one_line, {
      pattern     = "{ $.event = \"JOBS_OVERDUE\" }"
      description = "Jobs are overdue: no submit tick submits them."
    })
    containers-cut-off = merge(local.one_line, {
      pattern     = "{ $.event = \"CONTAINERS_CUT_OFF\" }"
      description = "Many containers are silent at once: they cannot reach the database."
    })
    no-tick = merge(local.one_line, {
      pattern     = "{ $.logger = \"celery.app.trace\" && $.level = \"INFO\" && $.event = \"Task batchreel.submit*\" }"
      description = "No submit tick has run for 5 minutes: beat, worker, Redis or the database is down."
      period_s    = 300
      fewer       = true
    })
    tick-failed = merge(local.one_line, {
      pattern     = "{ $.event = \"TICK_AWS_ERROR*\" }"
      description = "Ticks run, but AWS Batch denies or throttles their calls, or is unreachable."
      threshold   = 10
      period_s    = 600
    })
    tick-error = merge(local.one_line, {
      pattern     = "{ $.event = \"TICK_FAILED *\" }"
      description = "A tick ended with an error or was killed: what it does is not done."
    })
  }
  container_alarms = {
    jobs-failed = merge(local.one_line, {
      pattern     = "{ $.event = \"BATCH_JOB_FAILED\" && $.exit_code = 20 }"
      description = "Many uploads were rejected because they cannot be transcoded."
      threshold   = var.failed_jobs_per_hour
      period_s    = 3600
    })
    attempts-failed = merge(local.one_line, {
      pattern     = "{ $.event = \"BATCH_JOB_FAILED\" && $.exit_code != 20 }"
      description = "Many containers failed: storage, database, settings or the encoder."
      threshold   = var.failed_attempts_per_hour
      period_s    = 3600
    })
  }
  alarms_on = merge(
    { for name, alarm in local.container_alarms : name => merge(alarm, { log_group = aws_cloudwatch_log_group.containers.name }) },
    { for name, alarm in local.site_alarms : name => merge(alarm, { log_group = aws_cloudwatch_log_group.site.name }) if var.site_alarms },
  )
}

resource "aws_cloudwatch_log_metric_filter" "alarms" {
  for_each       = local.alarms_on
  name           = "${var.name}-${each.key}"
  log_group_name = each.value.log_group
  pattern        = each.value.pattern

  metric_transformation {
    name      = each.key
    namespace = var.name
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each            = local.alarms_on
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = var.name
  metric_name         = aws_cloudwatch_log_metric_filter.alarms[each.key].metric_transformation[0].name
  statistic           = "Sum"
  comparison_operator = each.value.fewer ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = each.value.period_s
  evaluation_periods  = 1
  treat_missing_data  = each.value.fewer ? "breaching" : "notBreaching"
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
    resources     = [aws_batch_job_queue.containers.arn]
  })
}

resource "aws_cloudwatch_event_target" "queue_blocked" {
  rule = aws_cloudwatch_event_rule.queue_blocked.name
  arn  = aws_sns_topic.alarms.arn
}
