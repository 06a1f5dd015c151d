# What has no default has to be given. Everything else fits one site with a few thousand videos a month.

variable "name" {
  description = "Name of the site. Every resource's name begins with it, and the names of its Batch jobs, so two sites in one account need two."
  type        = string
  default     = "batchreel"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "Use 3 to 32 lower-case letters, digits and dashes, a letter first."
  }
}

variable "region" {
  description = "AWS region, such as eu-central-1. Database, Redis and site should be in the same one."
  type        = string
}

variable "tags" {
  description = "More tags for every resource. The tag `application` is set already."
  type        = map(string)
  default     = {}
}

# Image and container

variable "image_digest" {
  description = "Digest of the pushed image, `sha256:` and 64 hexadecimal digits. Null until the first push: everything but the job definition is made then."
  type        = string
  default     = null

  validation {
    condition     = var.image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "Name the image by its digest, `sha256:` and 64 hexadecimal digits; a tag may move to another image."
  }
}

variable "images_kept" {
  description = "How many pushed images the registry keeps. An image that the job definition names must be among them."
  type        = number
  default     = 20

  validation {
    condition     = var.images_kept >= 5
    error_message = "Keep at least 5 images, or a rollback finds none."
  }
}

variable "vcpus" {
  description = "vCPUs of a container. The site gets the same number in BATCHREEL."
  type        = number
  default     = 2
}

variable "memory_mib" {
  description = "Memory of a container's first attempt, in MiB."
  type        = number
  default     = 4096
}

variable "attempt_timeout_s" {
  description = "AWS Batch ends an attempt after so many seconds."
  type        = number
  default     = 21600

  validation {
    condition     = var.attempt_timeout_s >= 60
    error_message = "AWS Batch refuses less than 60 s."
  }
}

variable "bridge_settings" {
  description = "More names of BATCHREEL for site and container, such as { max_attempts = 3 }. All are in docs/settings.md."
  type        = any
  default     = {}
}

variable "secret_arns" {
  description = "Environment name -> ARN of the Secrets Manager secret or SSM parameter whose value the container gets under it. It needs DATABASE_URL, the address with the role of `manage.py container_role`. No secret's value comes into Terraform's state."
  type        = map(string)

  validation {
    condition     = contains(keys(var.secret_arns), "DATABASE_URL")
    error_message = "The container needs DATABASE_URL."
  }
  validation {
    condition     = alltrue([for arn in values(var.secret_arns) : can(regex("^arn:[^:]+:(secretsmanager|ssm):", arn))])
    error_message = "Each value is the ARN of a Secrets Manager secret or an SSM parameter."
  }
}

variable "secret_key_arns" {
  description = "ARNs of the KMS keys of your own that encrypt those secrets. None is needed for AWS's own keys."
  type        = list(string)
  default     = []
}

# Network

variable "vpc_id" {
  description = "An existing VPC. Null makes a new one."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of the existing VPC for the containers' machines. They must reach AWS's APIs, by NAT, public addresses or endpoints."
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == null) == (length(var.subnet_ids) == 0)
    error_message = "Give vpc_id and subnet_ids together, or neither."
  }
}

variable "route_table_ids" {
  description = "Route tables of those subnets that shall get an S3 gateway endpoint. Empty if they have one."
  type        = list(string)
  default     = []

  validation {
    condition     = var.vpc_id != null || length(var.route_table_ids) == 0
    error_message = "Route tables belong to an existing VPC: give vpc_id too."
  }
}

variable "vpc_cidr" {
  description = "Address range of the new VPC; each availability zone gets a sixteenth of it."
  type        = string
  default     = "10.42.0.0/16"
}

variable "availability_zones" {
  description = "In how many availability zones the new VPC has a subnet. Each one more is another Spot pool."
  type        = number
  default     = 3

  validation {
    condition     = var.availability_zones >= 2 && var.availability_zones <= 6
    error_message = "Use 2 to 6 zones."
  }
}

variable "database_port" {
  description = "TCP port of PostgreSQL, for the containers' way out."
  type        = number
  default     = 5432
}

variable "database_cidrs" {
  description = "Address ranges in which PostgreSQL is. Empty means the VPC's own range."
  type        = list(string)
  default     = []
}

variable "database_security_group_id" {
  description = "Security group of PostgreSQL, which then lets the containers in. Null leaves that to you."
  type        = string
  default     = null
}

# Compute

variable "instance_types" {
  description = "Instance types or families, all of the image's architecture. More of them mean fewer Spot interruptions."
  type        = list(string)
  default     = ["c6i", "c6a", "c7i", "c7a", "m6i", "m6a"]

  validation {
    condition     = length(var.instance_types) >= 3
    error_message = "Spot needs a choice: name at least 3 instance types or families."
  }
}

variable "spot_max_vcpus" {
  description = "Most vCPUs on Spot at once. The account's quota for Spot must allow it."
  type        = number
  default     = 256
}

variable "on_demand_max_vcpus" {
  description = "Most vCPUs on On-Demand at once, taken where Spot has none. 0 leaves On-Demand out."
  type        = number
  default     = 32
}

variable "scratch_gib" {
  description = "Disk of each machine, in GiB. All containers on a machine share it, and each holds its source whole."
  type        = number
  default     = 200

  validation {
    condition     = var.scratch_gib >= 40
    error_message = "The machine's own image and ours take 20 GiB: give at least 40."
  }
}

variable "runnable_limits_s" {
  description = "Reason for which a Batch job waits in RUNNABLE -> seconds after which AWS Batch cancels it, 600 to 86400. Batchreel submits it anew, not counted, and parks a job after 20 such losses. Empty cancels none."
  type        = map(number)
  default = {
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" = 3600
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"         = 3600
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"           = 21600
  }

  validation {
    condition     = alltrue([for limit_s in values(var.runnable_limits_s) : limit_s >= 600 && limit_s <= 86400])
    error_message = "AWS Batch takes 600 to 86400 s."
  }
}

# Storage

variable "bucket_name" {
  description = "Name of the bucket, unique in the world. Null takes `<name>-<account id>-<region>`."
  type        = string
  default     = null
}

variable "site_origins" {
  description = "Origins of the site, such as https://video.example.org, whose pages may read from the bucket and upload to it. Empty sets no CORS rule."
  type        = list(string)
  default     = []
}

variable "cdn_distribution_arns" {
  description = "ARNs of CloudFront distributions with an origin access control that may read published/. MEDIA_BASE_URL is the address of one."
  type        = list(string)
  default     = []
}

variable "recovery_window_days" {
  description = "For so many days an operator can revive a DEAD job or encode a video again. That needs the uploaded file."
  type        = number
  default     = 30
}

variable "source_retention_days" {
  description = "The bucket deletes uploaded files after so many days. Null keeps them as long as their video."
  type        = number
  default     = null

  validation {
    condition     = var.source_retention_days == null || coalesce(var.source_retention_days, 0) >= var.recovery_window_days
    error_message = "An uploaded file must stay for the whole of recovery_window_days, or there is nothing to encode again."
  }
}

variable "destroy_data" {
  description = "Whether `terraform destroy` may delete a bucket with objects and a registry with images. Leave it false in production."
  type        = bool
  default     = false
}

variable "local_endpoint" {
  description = "True for an endpoint on this machine instead of AWS. It has no TLS, addresses buckets by path, and AWS Batch's limits in RUNNABLE are unknown to it: all three are left out."
  type        = bool
  default     = false
}

# Site

variable "site_services" {
  description = "AWS services on which web and Celery worker run, and which may take the site's role: ecs-tasks.amazonaws.com, ec2.amazonaws.com."
  type        = list(string)
  default     = ["ecs-tasks.amazonaws.com"]
}

# Logs and alarms

variable "log_retention_days" {
  description = "How long logs are kept, in days. CloudWatch takes only certain numbers."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "CloudWatch takes 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731 days."
  }
}

variable "alarm_email" {
  description = "E-mail address that alarms go to. AWS sends it a link first, which must be followed. Null: subscribe to the topic yourself."
  type        = string
  default     = null
}

variable "failed_jobs_per_hour" {
  description = "So many refused uploads in an hour raise the alarm `jobs-failed`. A single one is its uploader's matter."
  type        = number
  default     = 5
}

variable "failed_attempts_per_hour" {
  description = "So many failed containers in an hour raise the alarm `attempts-failed`. A single one is tried again."
  type        = number
  default     = 5
}

variable "site_alarms" {
  description = "Whether the alarms on the site's log are on. Switch it on once the worker writes there: no lines are an alarm too."
  type        = bool
  default     = true
}
