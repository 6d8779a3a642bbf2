package costest

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
)

// An acl defines who may read, with a canned name and with grants. The zero value is the default:
// private, or for an object the ACL of the bucket.
type acl struct {
	canned string
	grants []grant
}

type grant struct{ uin, permission string } // permission: READ, WRITE, READ_ACP, WRITE_ACP or FULL_CONTROL

var (
	objectACLs = []string{"", "default", "private", "public-read", "authenticated-read", "bucket-owner-read", "bucket-owner-full-control"}
	bucketACLs = []string{"", "private", "public-read", "public-read-write", "authenticated-read"}

	grantHeaders = map[string]string{
		"X-Cos-Grant-Read": "READ", "X-Cos-Grant-Write": "WRITE", "X-Cos-Grant-Read-Acp": "READ_ACP",
		"X-Cos-Grant-Write-Acp": "WRITE_ACP", "X-Cos-Grant-Full-Control": "FULL_CONTROL",
	}
)

// headerACL parses x-cos-acl and x-cos-grant-*. A grant is id="<uin>", and several are separated by
// commas.
func (s *Server) headerACL(h http.Header, canned []string) (acl, error) {
	a := acl{canned: h.Get("X-Cos-Acl")}
	if !slices.Contains(canned, a.canned) {
		return acl{}, invalidArgument("x-cos-acl is not valid.")
	}
	for name, permission := range grantHeaders {
		for one := range strings.SplitSeq(h.Get(name), ",") {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			kind, id, _ := strings.Cut(one, "=")
			if id = strings.Trim(id, `"`); id == "" || kind != "id" && kind != "uin" {
				return acl{}, invalidArgument("%s is not valid.", strings.ToLower(name))
			}
			a.grants = append(a.grants, grant{id, permission})
		}
	}
	return a, nil
}

// admits reports whether the ACLs of the bucket or of an object allow a caller an action.
// A policy may still deny it.
func (b *bucket) admits(c caller, action, key, version string) bool {
	switch action {
	case "GetObject", "HeadObject":
		if v, _ := b.find(key, version); v != nil && v.acl.canned != "" && v.acl.canned != "default" {
			return v.acl.allows(c, "READ")
		} else if v != nil && v.acl.allows(c, "READ") {
			return true
		}
		return b.acl.allows(c, "READ")
	case "GetBucket", "HeadBucket", "GetBucketObjectVersions", "ListMultipartUploads":
		return b.acl.allows(c, "READ")
	case "PutObject", "DeleteObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts":
		return b.acl.allows(c, "WRITE")
	case "GetBucketACL":
		return b.acl.allows(c, "READ_ACP")
	case "PutBucketACL":
		return b.acl.allows(c, "WRITE_ACP")
	case "GetObjectACL", "PutObjectACL":
		permission := map[string]string{"GetObjectACL": "READ_ACP", "PutObjectACL": "WRITE_ACP"}[action]
		v, _ := b.find(key, version)
		return v != nil && v.acl.allows(c, permission)
	}
	return false
}

func (a acl) allows(c caller, permission string) bool {
	switch {
	case a.canned == "public-read" && permission == "READ",
		a.canned == "public-read-write" && (permission == "READ" || permission == "WRITE"),
		a.canned == "authenticated-read" && permission == "READ" && !c.anonymous:
		return true
	}
	if c.anonymous || c.roleID != "" {
		return false // grants name accounts
	}
	return slices.ContainsFunc(a.grants, func(g grant) bool {
		return (g.uin == c.uin || g.uin == c.subUin) && (g.permission == permission || g.permission == "FULL_CONTROL")
	})
}

type granteeXML struct {
	XSI         string `xml:"xmlns:xsi,attr"`
	Type        string `xml:"xsi:type,attr"`
	URI         string `xml:",omitempty"`
	ID          string `xml:",omitempty"`
	DisplayName string `xml:",omitempty"`
}

type grantXML struct {
	Grantee    granteeXML
	Permission string
}

type aclXML struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Owner   ownerXML
	Grants  []grantXML `xml:"AccessControlList>Grant"`
}

const (
	xsi       = "http://www.w3.org/2001/XMLSchema-instance"
	allUsers  = "http://cam.qcloud.com/groups/global/AllUsers"
	authUsers = "http://cam.qcloud.com/groups/global/AuthenticatedUsers"
)

// aclOf returns the ACL that a request is about. s.mu is held.
func (x *exchange) aclOf() (*acl, error) {
	b := x.currentBucket()
	if x.key == "" {
		return &b.acl, nil
	}
	v, err := b.find(x.key, x.query.get("versionId"))
	if err != nil {
		return nil, err
	}
	return &v.acl, nil
}

// getACL answers GET ?acl of the bucket or an object.
func (x *exchange) getACL() error {
	x.s.mu.Lock()
	p, err := x.aclOf()
	var a acl
	if err == nil {
		a = *p
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	id := "qcs::cam::uin/" + x.s.o.OwnerUin + ":uin/" + x.s.o.OwnerUin
	out := aclXML{Owner: ownerXML{id, x.s.o.OwnerUin}}
	group := func(uri, permission string) {
		out.Grants = append(out.Grants, grantXML{granteeXML{XSI: xsi, Type: "Group", URI: uri}, permission})
	}
	switch a.canned {
	case "public-read-write":
		group(allUsers, "WRITE")
		group(allUsers, "READ")
	case "public-read":
		group(allUsers, "READ")
	case "authenticated-read":
		group(authUsers, "READ")
	}
	if x.key == "" || a.canned != "" && a.canned != "default" || len(a.grants) > 0 {
		out.Grants = append(out.Grants, grantXML{granteeXML{XSI: xsi, Type: "CanonicalUser", ID: id, DisplayName: x.s.o.OwnerUin}, "FULL_CONTROL"})
	}
	for _, g := range a.grants {
		id := "qcs::cam::uin/" + g.uin + ":uin/" + g.uin
		out.Grants = append(out.Grants, grantXML{granteeXML{XSI: xsi, Type: "CanonicalUser", ID: id, DisplayName: g.uin}, g.permission})
	}
	if x.key != "" || a.canned != "" {
		name := a.canned
		if name == "" {
			name = "default"
		}
		x.out.Header().Set("X-Cos-Acl", name)
	} else {
		x.out.Header().Set("X-Cos-Acl", "private")
	}
	x.sendXML(http.StatusOK, out)
	return nil
}

// putACL answers PUT ?acl, with headers or with a document.
func (x *exchange) putACL() error {
	canned := bucketACLs
	if x.key != "" {
		canned = objectACLs
	}
	a, err := x.s.headerACL(x.r.Header, canned)
	if err != nil {
		return err
	}
	body, err := x.readDocument(false)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if a.canned != "" || len(a.grants) > 0 {
			return failure(http.StatusBadRequest, "UnexpectedContent", "This request does not support content.")
		}
		if a, err = parseACL(body); err != nil {
			return err
		}
	}
	x.s.mu.Lock()
	p, err := x.aclOf()
	if err == nil {
		*p = a
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	x.out.WriteHeader(http.StatusOK)
	return nil
}

func parseACL(body []byte) (acl, error) {
	var doc struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		Grants  []struct {
			Grantee    struct{ URI, ID string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if err := parseXML(body, &doc); err != nil {
		return acl{}, err
	}
	a := acl{canned: "private"}
	for _, g := range doc.Grants {
		switch {
		case g.Grantee.URI == allUsers && g.Permission == "READ" && a.canned != "public-read-write":
			a.canned = "public-read"
		case g.Grantee.URI == allUsers:
			a.canned = "public-read-write"
		case g.Grantee.URI != "":
			a.canned = "authenticated-read"
		default:
			id := g.Grantee.ID[strings.LastIndexByte(g.Grantee.ID, '/')+1:]
			a.grants = append(a.grants, grant{id, g.Permission})
		}
	}
	return a, nil
}
