package capabilities

// All lists the runs of make test, in the order of the page. Their Clauses are nil.
var All = []Column{
	{Provider: "memfs", Server: "memory"},
	{Provider: "memfs", Server: "memory, without versions"},
	{Provider: "memfs", Server: "directory"},
	{Provider: "memfs", Server: "directory, without versions"},
	{Provider: "aws", Server: "versitygw 1.8.0"},
	{Provider: "aws", Server: "versitygw 1.8.0, versioning"},
	{Provider: "aws", Server: "Ceph RGW 16.2.15"},
	{Provider: "aws", Server: "Ceph RGW 16.2.15, as a tenant"},
	{Provider: "aws", Server: "Ceph RGW 16.2.15, versioning, as a tenant"},
	{Provider: "aws", Server: "SeaweedFS 4.53"},
	{Provider: "aws", Server: "SeaweedFS 4.53, versioning, as a tenant"},
	{Provider: "tencent", Server: "costest"},
	{Provider: "tencent", Server: "costest, versioning"},
	{Provider: "tencent", Server: "costest, versioning suspended"},
	{Provider: "tencent", Server: "costest, as a tenant"},
	{Provider: "tencent", Server: "costest, versioning, as a tenant"},
	{Provider: "tencent", Server: "costest, versioning suspended, as a tenant"},
}
