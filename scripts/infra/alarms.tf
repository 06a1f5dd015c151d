# Alarms on lines that the code writes: JSON from the containers and the Celery worker, and the table of `manage.py doctor`, which has to
# run every few minutes with its output in the site's log group. What each alarm means and what to do: docs/operating.md.

locals {
  alarms = {
    jobs-dead = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "%^warning\\s+jobs\\s+[0-9]+\\sDEAD%"
      description = "Doctor finds DEAD jobs: their budget is spent, and an operator has to look."
      threshold   = 1
      period_s    = 900
      fewer       = false
    }
    jobs-waiting = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "%^warning\\s+starting\\s+[0-9]+\\sattempts%"
      description = "Doctor finds attempts that AWS Batch does not start in time."
      threshold   = 1
      period_s    = 900
      fewer       = false
    }
    jobs-overdue = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "%^unwell\\s+due\\sjobs\\s+[0-9]+\\sdue%"
      description = "Doctor finds jobs that are due and that nobody submits."
      threshold   = 1
      period_s    = 900
      fewer       = false
    }
    doctor-silent = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "%^[a-z]+\\s+jobs\\s+%"
      description = "Doctor has not looked for half an hour, so the alarms above cannot tell anything."
      threshold   = 1
      period_s    = 1800
      fewer       = true
    }
    no-tick = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "{ $.logger = \"celery.app.trace\" && $.level = \"INFO\" && $.event = \"Task batchreel.submit*\" }"
      description = "No submit tick has run for 5 minutes: beat, worker, Redis or database is away."
      threshold   = 1
      period_s    = 300
      fewer       = true
    }
    tick-trouble = {
      on          = var.site_alarms
      log_group   = aws_cloudwatch_log_group.site.name
      pattern     = "{ $.event = \"TICK_TROUBLE*\" }"
      description = "Ticks run, but AWS Batch refuses their calls, throttles them, or is out of reach."
      threshold   = 10
      period_s    = 600
      fewer       = false
    }
    jobs-failed = {
      on          = true
      log_group   = aws_cloudwatch_log_group.containers.name
      pattern     = "{ $.event = \"BATCH_JOB_FAILED\" && $.exit_code = 20 }"
      description = "Many uploads were refused as impossible to transcode."
      threshold   = var.failed_jobs_per_hour
      period_s    = 3600
      fewer       = false
    }
    attempts-failed = {
      on          = true
      log_group   = aws_cloudwatch_log_group.containers.name
      pattern     = "{ $.event = \"BATCH_JOB_FAILED\" && $.exit_code != 20 }"
      description = "Many containers failed: storage, database, settings or the encoder."
      threshold   = var.failed_attempts_per_hour
      period_s    = 3600
      fewer       = false
    }
  }
  alarms_on = { for name, alarm in local.alarms : name => alarm if alarm.on }
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

# AWS Batch's own word that the job at the head of the queue cannot start, and why.
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
