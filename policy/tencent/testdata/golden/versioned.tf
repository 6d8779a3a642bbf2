# A public-read ACL of the bucket, or a bucket policy for anyone, gives every tenant access, regardless of these policies. Check that the bucket has neither.
# Applying strict_signature is optional but recommended. Without it, COS checks only the headers and parameters that the signature lists. With it, a signed request cannot be used for another host or with other parameters.
# After you add or remove a policy, CAM needs about a minute to apply the change everywhere.
# The documentation of Tencent's international site does not mention AutoRotateKey. If CAM rejects it, omit it, and upload each new key with UpdateOIDCConfig.
# A key source with one KMS key for all tenants does not isolate them: every tenant can decrypt a data key that another tenant has sealed with it. Only the permissions on the bucket keep the objects apart.
# The resource of the KMS key contains the account that created the key. If a sub-account created it, use --kms-key qcs::kms:ap-guangzhou:uin/100000000001:key/creatorUin/SUBACCOUNT/93866e69-9755-11ef-8e65-52540089bc41.
# After versioning is enabled, it cannot be disabled again. A conflict between two create-only writes is then detected after the write: both values stay in the history, and the writer that lost gets an error.
# Tenants can delete their own old versions permanently. A writer that lost a race needs this permission to undo its write.

resource "tencentcloud_cam_role_sso" "objectvault" {
  name = "broker"
  identity_url = "https://broker.example"
  identity_key = "eyJrZXlzIjpbeyJrdHkiOiJSU0EifV19"
  client_ids = ["vault"]
  auto_rotate_key = 1
}

resource "tencentcloud_cam_role" "tenant_0xabc" {
  name = "vault-0xabc"
  document = jsonencode({
    "version": "2.0",
    "statement": [
      {
        "effect": "allow",
        "principal": {
          "federated": [
            "qcs::cam::uin/100000000001:oidc-provider/broker"
          ]
        },
        "action": [
          "name/sts:AssumeRoleWithWebIdentity"
        ],
        "condition": {
          "string_equal": {
            "oidc:aud": [
              "vault"
            ],
            "oidc:iss": [
              "https://broker.example"
            ],
            "oidc:sub": [
              "agentkeys:agent:0xabc"
            ]
          }
        }
      }
    ]
  })
  console_login = false
  depends_on = [tencentcloud_cam_role_sso.objectvault]
}

resource "tencentcloud_cam_policy" "tenant_0xabc" {
  name = "vault-0xabc"
  document = jsonencode({
    "version": "2.0",
    "statement": [
      {
        "effect": "allow",
        "action": [
          "name/cos:GetObject",
          "name/cos:HeadObject",
          "name/cos:PutObject",
          "name/cos:DeleteObject",
          "name/cos:InitiateMultipartUpload",
          "name/cos:UploadPart",
          "name/cos:CompleteMultipartUpload",
          "name/cos:AbortMultipartUpload",
          "name/cos:ListParts"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/0xabc/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/cos:GetBucket",
          "name/cos:GetBucketObjectVersions"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          },
          "string_like": {
            "cos:prefix": [
              "bots%2F0xabc%2F*"
            ]
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/cos:GetBucketVersioning",
          "name/cos:HeadBucket",
          "name/cos:GetBucketACL",
          "name/cos:GetBucketPolicy",
          "name/cos:GetBucketLifecycle"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/kms:Encrypt",
          "name/kms:Decrypt"
        ],
        "resource": [
          "qcs::kms:ap-guangzhou:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41"
        ]
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:GetObject",
          "name/cos:HeadObject",
          "name/cos:PutObject",
          "name/cos:DeleteObject",
          "name/cos:InitiateMultipartUpload",
          "name/cos:UploadPart",
          "name/cos:CompleteMultipartUpload",
          "name/cos:AbortMultipartUpload",
          "name/cos:ListParts",
          "name/cos:GetBucket",
          "name/cos:GetBucketObjectVersions",
          "name/cos:GetBucketVersioning",
          "name/cos:HeadBucket",
          "name/cos:GetBucketACL",
          "name/cos:GetBucketPolicy",
          "name/cos:GetBucketLifecycle"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "false"
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_not_equal": {
            "cos:x-cos-acl": [
              "private"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-read": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-write": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-read-acp": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-write-acp": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-full-control": [
              "*"
            ]
          }
        }
      }
    ]
  })
}

resource "tencentcloud_cam_role_policy_attachment" "tenant_0xabc" {
  role_id = tencentcloud_cam_role.tenant_0xabc.id
  policy_id = tencentcloud_cam_policy.tenant_0xabc.id
}

resource "tencentcloud_cam_role" "tenant_acme_2eb_5fc-d" {
  name = "vault-acme.b_c-d"
  document = jsonencode({
    "version": "2.0",
    "statement": [
      {
        "effect": "allow",
        "principal": {
          "federated": [
            "qcs::cam::uin/100000000001:oidc-provider/broker"
          ]
        },
        "action": [
          "name/sts:AssumeRoleWithWebIdentity"
        ],
        "condition": {
          "string_equal": {
            "oidc:aud": [
              "vault"
            ],
            "oidc:iss": [
              "https://broker.example"
            ],
            "oidc:sub": [
              "repo:acme/agents:ref:refs/heads/main"
            ]
          }
        }
      }
    ]
  })
  console_login = false
  depends_on = [tencentcloud_cam_role_sso.objectvault]
}

resource "tencentcloud_cam_policy" "tenant_acme_2eb_5fc-d" {
  name = "vault-acme.b_c-d"
  document = jsonencode({
    "version": "2.0",
    "statement": [
      {
        "effect": "allow",
        "action": [
          "name/cos:GetObject",
          "name/cos:HeadObject",
          "name/cos:PutObject",
          "name/cos:DeleteObject",
          "name/cos:InitiateMultipartUpload",
          "name/cos:UploadPart",
          "name/cos:CompleteMultipartUpload",
          "name/cos:AbortMultipartUpload",
          "name/cos:ListParts"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/acme.b_c-d/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/cos:GetBucket",
          "name/cos:GetBucketObjectVersions"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          },
          "string_like": {
            "cos:prefix": [
              "bots%2Facme.b_c-d%2F*"
            ]
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/cos:GetBucketVersioning",
          "name/cos:HeadBucket",
          "name/cos:GetBucketACL",
          "name/cos:GetBucketPolicy",
          "name/cos:GetBucketLifecycle"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "true"
          }
        }
      },
      {
        "effect": "allow",
        "action": [
          "name/kms:Encrypt",
          "name/kms:Decrypt"
        ],
        "resource": [
          "qcs::kms:ap-guangzhou:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41"
        ]
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:GetObject",
          "name/cos:HeadObject",
          "name/cos:PutObject",
          "name/cos:DeleteObject",
          "name/cos:InitiateMultipartUpload",
          "name/cos:UploadPart",
          "name/cos:CompleteMultipartUpload",
          "name/cos:AbortMultipartUpload",
          "name/cos:ListParts",
          "name/cos:GetBucket",
          "name/cos:GetBucketObjectVersions",
          "name/cos:GetBucketVersioning",
          "name/cos:HeadBucket",
          "name/cos:GetBucketACL",
          "name/cos:GetBucketPolicy",
          "name/cos:GetBucketLifecycle"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "bool_equal": {
            "cos:secure-transport": "false"
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_not_equal": {
            "cos:x-cos-acl": [
              "private"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-read": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-write": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-read-acp": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-write-acp": [
              "*"
            ]
          }
        }
      },
      {
        "effect": "deny",
        "action": [
          "name/cos:PutObject",
          "name/cos:InitiateMultipartUpload"
        ],
        "resource": [
          "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"
        ],
        "condition": {
          "string_like": {
            "cos:x-cos-grant-full-control": [
              "*"
            ]
          }
        }
      }
    ]
  })
}

resource "tencentcloud_cam_role_policy_attachment" "tenant_acme_2eb_5fc-d" {
  role_id = tencentcloud_cam_role.tenant_acme_2eb_5fc-d.id
  policy_id = tencentcloud_cam_policy.tenant_acme_2eb_5fc-d.id
}

# terraform import tencentcloud_cos_bucket.objectvault vault-1250000000
resource "tencentcloud_cos_bucket" "objectvault" {
  bucket = "vault-1250000000"
  acl = "private"
  versioning_enable = true
  lifecycle_rules {
    id = "objectvault-expire"
    filter_prefix = "bots/"
    expiration {
      days = 30
    }
    non_current_expiration {
      non_current_days = 30
    }
  }
  lifecycle_rules {
    id = "objectvault-delete-markers"
    filter_prefix = "bots/"
    expiration {
      delete_marker = true
    }
  }
  lifecycle_rules {
    id = "objectvault-abort-uploads"
    filter_prefix = "bots/"
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}
