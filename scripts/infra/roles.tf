# One role per actor. The policies of our own programs list single actions; AWS's own agents use AWS managed policies.

locals {
  job_arns          = "arn:${local.partition}:batch:${var.region}:${local.account_id}:job/*"
  definition_arn    = "arn:${local.partition}:batch:${var.region}:${local.account_id}:job-definition/${local.job_definition}"
  secret_arns       = [for arn in values(var.secret_arns) : arn if can(regex("^arn:[^:]+:secretsmanager:", arn))]
  parameter_arns    = concat([for arn in values(var.secret_arns) : arn if can(regex("^arn:[^:]+:ssm:", arn))], values(local.settings_arns))
  secret_object_arn = [for arn in local.secret_arns : join(":", slice(split(":", arn), 0, 7))]

  actors = {
    site      = { purpose = "Web, Celery worker, beat and listener of ${var.name}", services = var.site_services }
    container = { purpose = "The program in the containers of ${var.name}", services = ["ecs-tasks.amazonaws.com"] }
    execution = { purpose = "Pulls the image, reads the secrets and writes the logs for containers of ${var.name}", services = ["ecs-tasks.amazonaws.com"] }
    instance  = { purpose = "The ECS agent on the instances of ${var.name}", services = ["ec2.amazonaws.com"] }
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.actors

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = each.value.services
    }
  }
}

resource "aws_iam_role" "actors" {
  for_each           = local.actors
  name               = "${var.name}-${each.key}"
  description        = each.value.purpose
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "own" {
  for_each = {
    site      = data.aws_iam_policy_document.site.json
    container = data.aws_iam_policy_document.container.json
    execution = data.aws_iam_policy_document.execution.json
  }
  name   = each.key
  role   = aws_iam_role.actors[each.key].id
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "aws_managed" {
  for_each = {
    instance = "AmazonEC2ContainerServiceforEC2Role"
  }
  role       = aws_iam_role.actors[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/${each.value}"
}

# For the ECS agent. machine_user_data.tftpl keeps containers, which use the network of their instance, from these credentials.
resource "aws_iam_instance_profile" "instance" {
  name = "${var.name}-instance"
  role = aws_iam_role.actors["instance"].name
}

# Site: web, Celery worker, beat and listener

data "aws_iam_policy_document" "site" {
  statement {
    sid       = "Submit"
    actions   = ["batch:SubmitJob"]
    resources = concat([for each in aws_batch_job_queue.containers : each.arn], [local.definition_arn, "${local.definition_arn}:*"])
  }

  # SubmitJob with tags requires this permission too.
  statement {
    sid       = "TagOnSubmit"
    actions   = ["batch:TagResource"]
    resources = [local.job_arns]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/application"
      values   = [var.name]
    }
  }

  # Batch job ids are not known in advance; the tag set by SubmitJob identifies our own Batch jobs. TerminateJobs has no action of
  # its own: it requires this permission for each Batch job (API reference, TerminateJobs).
  statement {
    sid       = "Terminate"
    actions   = ["batch:TerminateJob"]
    resources = [local.job_arns]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/application"
      values   = [var.name]
    }
  }

  # AWS Batch, EC2 and the price list allow these on "*" only.
  statement {
    sid = "Describe"
    actions = [
      "batch:DescribeJobs",
      "batch:ListJobs",
      "batch:DescribeJobQueues",
      "batch:DescribeComputeEnvironments",
      "batch:DescribeJobDefinitions",
      "ec2:DescribeSubnets",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:DescribeImages",
      "ec2:DescribeSpotPriceHistory",
      "pricing:GetProducts",
    ]
    resources = ["*"]
  }

  # What the machines of containers are, for their cost. AWS Batch names the clusters of its compute environments itself.
  statement {
    sid       = "DescribeMachines"
    actions   = ["ecs:DescribeContainerInstances"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account_id}:container-instance/*"]
  }

  # The doctor checks that the containers' image exists, and its architectures.
  statement {
    sid       = "DescribeImage"
    actions   = ["ecr:BatchGetImage"]
    resources = [aws_ecr_repository.image.arn]
  }

  statement {
    sid       = "Listen"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
    resources = [aws_sqs_queue.events.arn]
  }

  # The doctor checks the queues and what sends to them. EventBridge allows the search by target on "*" only.
  statement {
    sid       = "DescribeEventQueues"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events.arn, aws_sqs_queue.dead_events.arn]
  }

  statement {
    sid       = "FindEventRules"
    actions   = ["events:ListRuleNamesByTarget"]
    resources = ["*"]
  }

  statement {
    sid       = "DescribeEventRules"
    actions   = ["events:DescribeRule"]
    resources = [for rule in aws_cloudwatch_event_rule.events : rule.arn]
  }

  statement {
    sid       = "ReadContainerLogs"
    actions   = ["logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.containers.arn}:log-stream:*"]
  }

  # Without this, S3 answers "forbidden" instead of "not found" for an object that does not exist.
  statement {
    sid       = "ListObjects"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.media.arn]
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.media.arn}/*"]
  }

  statement {
    sid       = "Uploads"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${aws_s3_bucket.media.arn}/sources/*", "${aws_s3_bucket.media.arn}/doctor/*"]
  }
}

# Container: the program that AWS Batch runs

data "aws_iam_policy_document" "container" {
  statement {
    sid       = "ListObjects"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.media.arn]
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.media.arn}/sources/*", "${aws_s3_bucket.media.arn}/published/*"]
  }

  statement {
    sid       = "Publish"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.media.arn}/published/*"]
  }
}

# Execution role: pulls the image, reads the secrets and writes the log, outside the program

data "aws_iam_policy_document" "execution" {
  # ECR allows it on "*" only.
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.image.arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.containers.arn}:*", "${aws_cloudwatch_log_group.site.arn}:*"]
  }

  dynamic "statement" {
    for_each = length(local.secret_object_arn) > 0 ? [local.secret_object_arn] : []

    content {
      sid       = "ReadSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  statement {
    sid       = "ReadParameters"
    actions   = ["ssm:GetParameters"]
    resources = local.parameter_arns
  }

  dynamic "statement" {
    for_each = length(var.secret_key_arns) > 0 ? [var.secret_key_arns] : []

    content {
      sid       = "DecryptSecrets"
      actions   = ["kms:Decrypt"]
      resources = statement.value
    }
  }
}
