# Variables without a default are required. The other defaults suit one site with a few thousand videos a month.

variable "name" {
  description = "Name of the site and prefix of the names of all its resources and Batch jobs. Two sites in one account need different names."
  type        = string
  default     = "batchreel"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "Use 3 to 32 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "region" {
  description = "AWS region, such as eu-central-1. Database, Redis and site should be in the same region."
  type        = string
}

variable "tags" {
  description = "Additional tags for every resource. The tag `application` is always set."
  type        = map(string)
  default     = {}
}

# Image and container

variable "image_digest" {
  description = "Digest of the pushed image: `sha256:` and 64 hexadecimal digits. Null before the first push creates everything except the job definition."
  type        = string
  default     = null

  validation {
    condition     = var.image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "Specify the image by its digest, `sha256:` and 64 hexadecimal digits; a tag can move to another image."
  }
}

variable "images_kept" {
  description = "Number of pushed images that the registry keeps. The image of the job definition must be among them."
  type        = number
  default     = 20

  validation {
    condition     = var.images_kept >= 5
    error_message = "Keep at least 5 images, so that a rollback finds an older one."
  }
}

variable "vcpus" {
  description = "vCPUs per container. The site gets the same value in BATCHREEL."
  type        = number
  default     = 2
}

variable "memory_mib" {
  description = "Memory of a container's first attempt, in MiB. More than 1750 for each vCPU does not fill `c` machines: they have 2048, and register less."
  type        = number
  default     = 3500
}

variable "attempt_timeout_s" {
  description = "Seconds after which AWS Batch ends an attempt."
  type        = number
  default     = 86400

  validation {
    condition     = var.attempt_timeout_s >= 60
    error_message = "AWS Batch requires at least 60 s."
  }
}

variable "bridge_settings" {
  description = "Additional BATCHREEL settings for site and container, such as { max_attempts = 3 }. docs/reference/settings.md lists all of them."
  type        = any
  default     = {}
}

variable "secret_arns" {
  description = "Environment variable of the container -> ARN of the Secrets Manager secret or SSM parameter with its value. DATABASE_URL is required: the URL with the role from `manage.py container_role`. Terraform's state never contains the values."
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
  description = "ARNs of your own KMS keys that encrypt those secrets. Not needed for AWS managed keys."
  type        = list(string)
  default     = []
}

# Network

variable "vpc_id" {
  description = "ID of an existing VPC. Null creates a new one."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of the existing VPC for the containers' instances. They must reach AWS's APIs, through NAT, public IP addresses or VPC endpoints."
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == null) == (length(var.subnet_ids) == 0)
    error_message = "Set vpc_id and subnet_ids together, or neither."
  }
}

variable "route_table_ids" {
  description = "Route tables of those subnets to connect to a new S3 gateway endpoint. Leave empty if they already have one."
  type        = list(string)
  default     = []

  validation {
    condition     = var.vpc_id != null || length(var.route_table_ids) == 0
    error_message = "Route tables belong to an existing VPC: set vpc_id as well."
  }
}

variable "vpc_cidr" {
  description = "CIDR block of the new VPC. Each availability zone gets a sixteenth of it."
  type        = string
  default     = "10.42.0.0/16"
}

variable "availability_zones" {
  description = "Number of availability zones in which the new VPC has a subnet. Each additional zone adds Spot pools."
  type        = number
  default     = 3

  validation {
    condition     = var.availability_zones >= 2 && var.availability_zones <= 6
    error_message = "Use 2 to 6 zones."
  }
}

variable "database_port" {
  description = "TCP port of PostgreSQL, for the containers' outbound traffic."
  type        = number
  default     = 5432
}

variable "database_cidrs" {
  description = "CIDR blocks that contain PostgreSQL. Empty means the CIDR block of the VPC."
  type        = list(string)
  default     = []
}

variable "database_security_group_id" {
  description = "Security group of PostgreSQL, to which a rule for the containers is added. Null leaves that to you."
  type        = string
  default     = null
}

# Compute

# Sizes, not families. For a family, AWS Batch may start any size, up to 192 vCPUs, whose containers share one disk and its throughput
# (user guide, "Compute environment parameters": instanceTypes). The smallest suits a single video, the largest has room for 8 containers.
# Six families in four sizes are 24 Spot pools in each zone. m costs 13 % more than c for each vCPU, but is another pool.
variable "instance_types" {
  description = "Instance types with their sizes, all of the image's architecture. More types mean fewer Spot interruptions; the largest one determines the disk of all."
  type        = list(string)
  default = [
    "c6i.large", "c6a.large", "c7i.large", "c7a.large", "m6i.large", "m6a.large",
    "c6i.xlarge", "c6a.xlarge", "c7i.xlarge", "c7a.xlarge", "m6i.xlarge", "m6a.xlarge",
    "c6i.2xlarge", "c6a.2xlarge", "c7i.2xlarge", "c7a.2xlarge", "m6i.2xlarge", "m6a.2xlarge",
    "c6i.4xlarge", "c6a.4xlarge", "c7i.4xlarge", "c7a.4xlarge", "m6i.4xlarge", "m6a.4xlarge",
  ]

  validation {
    condition     = length(var.instance_types) >= 3
    error_message = "Spot needs alternatives: list at least 3 instance types."
  }
  validation {
    condition     = alltrue([for type in var.instance_types : can(regex("^[a-z][a-z0-9-]*[.]([0-9]*xlarge|large)$", type))])
    error_message = "Name types with their sizes, such as c6i.2xlarge: of a whole family, AWS Batch may start machines whose containers fill the disk."
  }
}

variable "machine_image_id" {
  description = "AMI of the instances. Null uses the newest ECS-optimized Amazon Linux 2023 at each apply; name one to keep it, or to return to it."
  type        = string
  default     = null
}

variable "spot_max_vcpus" {
  description = "Maximum number of Spot vCPUs in use at the same time. The account's Spot quota must allow it."
  type        = number
  default     = 256
}

variable "on_demand_max_vcpus" {
  description = "Maximum number of On-Demand vCPUs in use at the same time, used when Spot has no capacity. 0 disables On-Demand."
  type        = number
  default     = 32
}

variable "scratch_gib" {
  description = "Disk size of each instance, in GiB. All containers on an instance share the disk, and each stores its complete source there. Null means 20 GiB and 8 GiB for each vCPU of the largest instance type: 148 GiB for a 4xlarge."
  type        = number
  default     = null

  validation {
    condition     = var.scratch_gib == null || coalesce(var.scratch_gib, 0) >= 40
    error_message = "The instance's own image and ours need 20 GiB: set at least 40."
  }
}

variable "scratch_mib_per_s" {
  description = "Throughput of that disk, in MiB/s, shared by all containers on the instance. 125 are free of charge; 250 let 8 containers that start together store sources of 6.75 GB in 4 minutes."
  type        = number
  default     = 250

  validation {
    condition     = var.scratch_mib_per_s >= 125 && var.scratch_mib_per_s <= 750
    error_message = "gp3 has 125 MiB/s at least, and 750 at most with its 3000 IOPS."
  }
}

variable "runnable_limits_s" {
  description = "Reason why a Batch job waits in RUNNABLE -> seconds after which AWS Batch cancels it, 600 to 86400. Batchreel submits it again; such an attempt is not counted, and after 20 of them in a row the job is DEAD. Empty cancels none."
  type        = map(number)
  default = {
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" = 3600
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"         = 3600
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"           = 21600
  }

  validation {
    condition     = alltrue([for limit_s in values(var.runnable_limits_s) : limit_s >= 600 && limit_s <= 86400])
    error_message = "AWS Batch accepts 600 to 86400 s."
  }
}

# Storage

variable "bucket_name" {
  description = "Globally unique name of the bucket. Null uses `<name>-<account id>-<region>`."
  type        = string
  default     = null
}

variable "site_origins" {
  description = "Origins of the site, such as https://video.example.org, whose pages may read from the bucket and upload to it. Empty creates no CORS rule."
  type        = list(string)
  default     = []
}

variable "cdn_distribution_arns" {
  description = "ARNs of CloudFront distributions with an origin access control that may read published/. Set MEDIA_BASE_URL to the URL of one of them."
  type        = list(string)
  default     = []
}

variable "recovery_window_days" {
  description = "Number of days during which an operator can revive a DEAD job or encode a video again. Both need the uploaded file."
  type        = number
  default     = 30
}

variable "source_retention_days" {
  description = "Number of days after which the bucket deletes uploaded files. Null keeps them as long as their video."
  type        = number
  default     = null

  validation {
    condition     = var.source_retention_days == null || coalesce(var.source_retention_days, 0) >= var.recovery_window_days
    error_message = "An uploaded file must be kept for the whole of recovery_window_days, or it cannot be encoded again."
  }
}

variable "destroy_data" {
  description = "Whether `terraform destroy` may delete a bucket with objects and a registry with images. Keep it false in production."
  type        = bool
  default     = false
}

variable "local_endpoint" {
  description = "True for an endpoint on this machine instead of AWS. It has no TLS, uses path-style bucket URLs and does not support AWS Batch's RUNNABLE limits, so the configuration omits what depends on these three."
  type        = bool
  default     = false
}

# Site

variable "site_services" {
  description = "AWS services that run web and Celery worker and may assume the site's role: ecs-tasks.amazonaws.com, ec2.amazonaws.com."
  type        = list(string)
  default     = ["ecs-tasks.amazonaws.com"]
}

# Logs and alarms

variable "log_retention_days" {
  description = "Number of days to keep logs. CloudWatch accepts only certain numbers."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "CloudWatch accepts 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731 days."
  }
}

variable "alarm_email" {
  description = "E-mail address for alarms. AWS first sends a confirmation link, which must be opened. Null: subscribe to the topic yourself."
  type        = string
  default     = null
}

variable "failed_jobs_per_hour" {
  description = "Number of rejected uploads per hour that raises the alarm `jobs-failed`. A single one concerns only its uploader."
  type        = number
  default     = 5
}

variable "failed_attempts_per_hour" {
  description = "Number of failed containers per hour that raises the alarm `attempts-failed`. A single one is retried."
  type        = number
  default     = 5
}

variable "upload_wait_s" {
  description = "Seconds for which an upload may wait for its first container before the alarm `uploads-waiting`. A backlog of bulk jobs does not count."
  type        = number
  default     = 7200
}

variable "late_heartbeats" {
  description = "Number of running containers without a recent heartbeat that raises the alarm `heartbeats-late`. Single ones are replaced."
  type        = number
  default     = 3
}

variable "database_alarm_gib" {
  description = "Size of the database in GiB that raises the alarm `database-large`: about three quarters of its disk."
  type        = number
  default     = 15
}

variable "site_alarms" {
  description = "Whether to create the alarms on the metrics in the site's log. Enable it once the worker writes there, because missing lines also raise an alarm."
  type        = bool
  default     = true
}
