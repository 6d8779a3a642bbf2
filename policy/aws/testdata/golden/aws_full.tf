# A key source with one KMS key for all tenants does not isolate them: every tenant can decrypt a data key that another tenant has sealed with it. Only the permissions on the bucket keep the objects apart.
# The policy of the KMS key must either delegate access control to the IAM policies of the account, or allow the role directly.
# When you apply this bucket policy, it replaces the existing one. Save the existing policy first; --delta prints only the statements that it lacks.
# When you apply this lifecycle configuration, it replaces the existing one. Save the existing configuration first.

resource "aws_iam_openid_connect_provider" "objectvault" {
  url = "https://broker.example"
  client_id_list = ["sts.amazonaws.com"]
  thumbprint_list = ["0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"]
}

resource "aws_iam_role" "objectvault" {
  name = "vault"
  assume_role_policy = jsonencode({
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "AssumeWithTag",
        "Effect": "Allow",
        "Principal": {
          "Federated": [
            "arn:aws:iam::123456789012:oidc-provider/broker.example"
          ]
        },
        "Action": [
          "sts:AssumeRoleWithWebIdentity",
          "sts:TagSession"
        ],
        "Condition": {
          "Null": {
            "aws:RequestTag/agentkeys_user_wallet": "false"
          },
          "StringEquals": {
            "broker.example:aud": "sts.amazonaws.com",
            "broker.example:sub": "agentkeys:agent:0xabc"
          },
          "StringNotLike": {
            "aws:RequestTag/agentkeys_user_wallet": [
              "*/*",
              "*$${*}*",
              "*$${?}*"
            ]
          }
        }
      }
    ]
  })
  depends_on = [aws_iam_openid_connect_provider.objectvault]
}

resource "aws_iam_role_policy" "objectvault" {
  name = "objectvault"
  role = aws_iam_role.objectvault.name
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
          "s3:AbortMultipartUpload",
          "s3:DeleteObjectVersion"
        ],
        "Resource": [
          "arn:aws:s3:::vault/bots/$${aws:PrincipalTag/agentkeys_user_wallet}/credentials/*"
        ],
        "Condition": {
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "false"
          }
        }
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
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "false"
          },
          "StringLike": {
            "s3:prefix": "bots/$${aws:PrincipalTag/agentkeys_user_wallet}/credentials/*"
          }
        }
      },
      {
        "Sid": "Doctor",
        "Effect": "Allow",
        "Action": [
          "s3:GetBucketVersioning",
          "s3:GetLifecycleConfiguration",
          "s3:GetBucketPolicy"
        ],
        "Resource": [
          "arn:aws:s3:::vault"
        ],
        "Condition": {
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "false"
          }
        }
      },
      {
        "Sid": "SealingKey",
        "Effect": "Allow",
        "Action": [
          "kms:Encrypt",
          "kms:Decrypt"
        ],
        "Resource": [
          "arn:aws:kms:eu-west-1:123456789012:key/1f1e1d1c-1b1a-1918-1716-151413121110"
        ],
        "Condition": {
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "false"
          }
        }
      },
      {
        "Sid": "BucketKey",
        "Effect": "Allow",
        "Action": [
          "kms:GenerateDataKey",
          "kms:Decrypt"
        ],
        "Resource": [
          "arn:aws:kms:eu-west-1:123456789012:key/0f0e0d0c-0b0a-0908-0706-050403020100"
        ],
        "Condition": {
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "false"
          },
          "StringEquals": {
            "kms:ViaService": "s3.eu-west-1.amazonaws.com"
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
      },
      {
        "Sid": "DenyWithoutTag",
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
          "ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::123456789012:role/vault"
          },
          "Null": {
            "aws:PrincipalTag/agentkeys_user_wallet": "true"
          }
        }
      },
      {
        "Sid": "DenyOutsideOwnPrefix",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
          "s3:*"
        ],
        "NotResource": [
          "arn:aws:s3:::vault",
          "arn:aws:s3:::vault/bots/$${aws:PrincipalTag/agentkeys_user_wallet}/credentials/*"
        ],
        "Condition": {
          "ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::123456789012:role/vault"
          }
        }
      },
      {
        "Sid": "DenyListOutsideOwnPrefix",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
          "s3:ListBucket",
          "s3:ListBucketVersions"
        ],
        "Resource": [
          "arn:aws:s3:::vault"
        ],
        "Condition": {
          "ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::123456789012:role/vault"
          },
          "StringNotLike": {
            "s3:prefix": "bots/$${aws:PrincipalTag/agentkeys_user_wallet}/credentials/*"
          }
        }
      },
      {
        "Sid": "DenyBucketItself",
        "Effect": "Deny",
        "Principal": "*",
        "NotAction": [
          "s3:ListBucket",
          "s3:ListBucketVersions",
          "s3:GetBucketVersioning",
          "s3:GetLifecycleConfiguration",
          "s3:GetBucketPolicy"
        ],
        "Resource": [
          "arn:aws:s3:::vault"
        ],
        "Condition": {
          "ArnEquals": {
            "aws:PrincipalArn": "arn:aws:iam::123456789012:role/vault"
          }
        }
      }
    ]
  })
  depends_on = [aws_iam_role.objectvault, aws_s3_bucket_public_access_block.objectvault]
}
