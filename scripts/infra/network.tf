# A new VPC has public subnets and no NAT: instances get public IP addresses and accept no inbound traffic. A NAT gateway would always
# cost more. Use your own VPC to run instances without public addresses.

locals {
  new_vpc    = var.vpc_id == null
  vpc_id     = local.new_vpc ? aws_vpc.site[0].id : var.vpc_id
  subnet_ids = local.new_vpc ? aws_subnet.containers[*].id : var.subnet_ids

  database_cidrs = length(var.database_cidrs) > 0 ? var.database_cidrs : [
    local.new_vpc ? var.vpc_cidr : data.aws_vpc.existing[0].cidr_block
  ]
}

data "aws_vpc" "existing" {
  count = local.new_vpc ? 0 : 1
  id    = var.vpc_id
}

data "aws_availability_zones" "usable" {
  count = local.new_vpc ? 1 : 0
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "site" {
  count                = local.new_vpc ? 1 : 0
  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

resource "aws_internet_gateway" "site" {
  count  = local.new_vpc ? 1 : 0
  vpc_id = aws_vpc.site[0].id

  tags = { Name = var.name }
}

resource "aws_subnet" "containers" {
  count                   = local.new_vpc ? min(var.availability_zones, length(data.aws_availability_zones.usable[0].names)) : 0
  vpc_id                  = aws_vpc.site[0].id
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, count.index)
  availability_zone       = data.aws_availability_zones.usable[0].names[count.index]
  map_public_ip_on_launch = true

  tags = { Name = "${var.name}-containers-${count.index + 1}" }
}

resource "aws_route_table" "containers" {
  count  = local.new_vpc ? 1 : 0
  vpc_id = aws_vpc.site[0].id

  tags = { Name = "${var.name}-containers" }
}

resource "aws_route" "internet" {
  count                  = local.new_vpc ? 1 : 0
  route_table_id         = aws_route_table.containers[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.site[0].id
}

resource "aws_route_table_association" "containers" {
  count          = length(aws_subnet.containers)
  subnet_id      = aws_subnet.containers[count.index].id
  route_table_id = aws_route_table.containers[0].id
}

# Sources and publications are most of the traffic. Through this endpoint it is free, whatever route to the internet the subnets have.
resource "aws_vpc_endpoint" "s3" {
  count             = local.new_vpc || length(var.route_table_ids) > 0 ? 1 : 0
  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.new_vpc ? [aws_route_table.containers[0].id] : var.route_table_ids

  tags = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "containers" {
  name        = "${var.name}-containers"
  description = "Instances that run containers: no inbound traffic, outbound to AWS and the database"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-containers" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.containers.id
  description       = "AWS: storage, image, secrets, logs, ECS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each          = toset(local.database_cidrs)
  security_group_id = aws_security_group.containers.id
  description       = "PostgreSQL"
  ip_protocol       = "tcp"
  from_port         = var.database_port
  to_port           = var.database_port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count                        = var.database_security_group_id == null ? 0 : 1
  security_group_id            = var.database_security_group_id
  description                  = "Containers of ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = var.database_port
  to_port                      = var.database_port
  referenced_security_group_id = aws_security_group.containers.id
}
