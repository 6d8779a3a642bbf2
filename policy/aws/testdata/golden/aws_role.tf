# These documents are for issuers whose tokens have no session tags. If the tokens have tags, the trust policies must also allow sts:TagSession.
# These policies contain no Deny statement that limits a role to its prefix. If another policy grants the role more access, the role has this access, too.
# When you apply this bucket policy, it replaces the existing one. Save the existing policy first; --delta prints only the statements that it lacks.
# When you apply this lifecycle configuration, it replaces the existing one. Save the existing configuration first.
# Without thumbprints, the provider hashicorp/aws must be a release of 2025 or later, because older releases require them.

resource "aws_iam_openid_connect_provider" "objectvault" {
  url = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "tenant_acme" {
  name = "vault-acme"
  assume_role_policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "AssumeWithToken",
        "Effect": "Allow",
        "Principal": {
          "Federated": [
            "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
          ]
        },
        "Action": [
          "sts:AssumeRoleWithWebIdentity"
        ],
        "Condition": {
          "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:acme/agents:ref:refs/heads/main"
          }
        }
      }
    ]
  })
  depends_on = [aws_iam_openid_connect_provider.objectvault]
}

resource "aws_iam_role_policy" "tenant_acme" {
  name = "objectvault"
  role = aws_iam_role.tenant_acme.name
  policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "OwnObjects",
        "Effect": "Allow",
        "Action": [
          "s3:GetObject",
          "s3:GetObjectVersion",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload"
        ],
        "Resource": [
          "arn:aws:s3:::vault/bots/acme/*"
        ]
      },
      {
        "Sid": "OwnList",
        "Effect": "Allow",
        "Action": [
          "s3:ListBucket",
          "s3:ListBucketVersions"
        ],
        "Resource": [
          "arn:aws:s3:::vault"
        ],
        "Condition": {
          "StringLike": {
            "s3:prefix": "bots/acme/*"
          }
        }
      }
    ]
  })
}

resource "aws_iam_role" "tenant_globex" {
  name = "vault-globex"
  assume_role_policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "AssumeWithToken",
        "Effect": "Allow",
        "Principal": {
          "Federated": [
            "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
          ]
        },
        "Action": [
          "sts:AssumeRoleWithWebIdentity"
        ],
        "Condition": {
          "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:globex/agents:ref:refs/heads/main"
          }
        }
      }
    ]
  })
  depends_on = [aws_iam_openid_connect_provider.objectvault]
}

resource "aws_iam_role_policy" "tenant_globex" {
  name = "objectvault"
  role = aws_iam_role.tenant_globex.name
  policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "OwnObjects",
        "Effect": "Allow",
        "Action": [
          "s3:GetObject",
          "s3:GetObjectVersion",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload"
        ],
        "Resource": [
          "arn:aws:s3:::vault/bots/globex/*"
        ]
      },
      {
        "Sid": "OwnList",
        "Effect": "Allow",
        "Action": [
          "s3:ListBucket",
          "s3:ListBucketVersions"
        ],
        "Resource": [
          "arn:aws:s3:::vault"
        ],
        "Condition": {
          "StringLike": {
            "s3:prefix": "bots/globex/*"
          }
        }
      }
    ]
  })
}

resource "aws_s3_bucket_versioning" "objectvault" {
  bucket = "vault"
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "objectvault" {
  bucket = "vault"
  block_public_acls = true
  ignore_public_acls = true
  block_public_policy = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "objectvault" {
  bucket = "vault"
  rule {
    id = "objectvault-expire"
    status = "Enabled"
    filter {
      prefix = "bots/"
    }
    expiration {
      days = 30
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
  rule {
    id = "objectvault-delete-markers"
    status = "Enabled"
    filter {
      prefix = "bots/"
    }
    expiration {
      expired_object_delete_marker = true
    }
  }
  rule {
    id = "objectvault-abort-uploads"
    status = "Enabled"
    filter {
      prefix = "bots/"
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  depends_on = [aws_s3_bucket_versioning.objectvault]
}

resource "aws_s3_bucket_policy" "objectvault" {
  bucket = "vault"
  policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "DenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
          "s3:*"
        ],
        "Resource": [
          "arn:aws:s3:::vault",
          "arn:aws:s3:::vault/*"
        ],
        "Condition": {
          "Bool": {
            "aws:SecureTransport": "false"
          }
        }
      }
    ]
  })
  depends_on = [aws_iam_role.tenant_acme, aws_iam_role.tenant_globex, aws_s3_bucket_public_access_block.objectvault]
}
