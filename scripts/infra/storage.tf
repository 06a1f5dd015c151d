# One bucket, because the code has one storage: uploads under sources/, publications under published/, doctor's test objects under doctor/.

locals {
  bucket_name = coalesce(var.bucket_name, "${var.name}-${local.account_id}-${var.region}")
}

resource "aws_s3_bucket" "media" {
  bucket        = local.bucket_name
  force_destroy = var.destroy_data
}

resource "aws_s3_bucket_public_access_block" "media" {
  bucket                  = aws_s3_bucket.media.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "media" {
  bucket = aws_s3_bucket.media.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "media" {
  bucket = aws_s3_bucket.media.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

data "aws_iam_policy_document" "media_bucket" {
  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.media.arn, "${aws_s3_bucket.media.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = length(var.cdn_distribution_arns) > 0 ? [var.cdn_distribution_arns] : []

    content {
      sid       = "PublicationsByCdn"
      actions   = ["s3:GetObject"]
      resources = ["${aws_s3_bucket.media.arn}/published/*"]

      principals {
        type        = "Service"
        identifiers = ["cloudfront.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = statement.value
      }
    }
  }
}

resource "aws_s3_bucket_policy" "media" {
  count  = var.local_endpoint ? 0 : 1
  bucket = aws_s3_bucket.media.id
  policy = data.aws_iam_policy_document.media_bucket.json
}

resource "aws_s3_bucket_lifecycle_configuration" "media" {
  bucket = aws_s3_bucket.media.id

  # The parts of an abandoned multipart upload cost money, and no object listing shows them.
  rule {
    id     = "abandoned-uploads"
    status = "Enabled"

    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = max(7, ceil(try(var.bridge_settings.upload_retention_s, 0) / 86400))
    }
  }

  rule {
    id     = "doctor"
    status = "Enabled"

    filter {
      prefix = "doctor/"
    }
    expiration {
      days = 1
    }
  }

  dynamic "rule" {
    for_each = var.source_retention_days == null ? [] : [var.source_retention_days]

    content {
      id     = "sources"
      status = "Enabled"

      filter {
        prefix = "sources/"
      }
      expiration {
        days = rule.value
      }
    }
  }
}

resource "aws_s3_bucket_cors_configuration" "media" {
  count  = length(var.site_origins) > 0 ? 1 : 0
  bucket = aws_s3_bucket.media.id

  cors_rule {
    allowed_methods = ["GET", "HEAD", "PUT"]
    allowed_origins = var.site_origins
    allowed_headers = ["*"]
    expose_headers  = ["ETag", "Content-Range"]
    max_age_seconds = 3600
  }
}
