package costest

import "time"

// A caller is the signer of a request.
type caller struct {
	anonymous     bool
	root          bool   // the owner's permanent key, which has all permissions
	keyID         string // id of the key that signed, or "" if anonymous
	uin           string // account of the key
	subUin        string // uin of the sub-user, or ""
	roleID        string // id of the assumed role, or ""
	roleName      string
	session       string // name of the role session
	sessionPolicy string // policy document in JSON, or ""
}

// A credential is an access key in the server's records.
type credential struct {
	keyID, secret string
	token         string    // required with a temporary key; "" for a permanent one
	expires       time.Time // zero for a permanent key
	caller        caller
}

// An accessRequest is a request for a decision of [Server.authorize].
type accessRequest struct {
	action   string // for example name/cos:GetObject
	bucket   string // NAME-APPID
	resource string // qcs::cos:<region>:uid/<appid>:<bucket>/<key>

	// conditions contains the condition keys of the request. The names are in lower case, as in
	// policies: cos:secure-transport, cos:tls-version, qcs:ip, cos:prefix (URL-encoded),
	// cos:versionid, cos:content-type, cos:x-cos-acl, …
	conditions map[string]string

	bucketPolicy string // the document of PUT ?policy, or ""
	acl          bool   // an ACL allows the caller; a deny has priority
	publicACL    bool   // an ACL allows every caller
}

// credential returns the credential of an access key id, even if it has expired, because the
// signature check chooses the error.
func (s *Server) credential(id string, now time.Time) (credential, bool) {
	if id == s.o.SecretID {
		return credential{keyID: id, secret: s.o.SecretKey, caller: caller{root: true, keyID: id, uin: s.o.OwnerUin}}, true
	}
	return s.access.credential(id, now)
}

// authorize checks whether a caller may perform a request. It returns nil or an error of the
// service, usually AccessDenied. The caller must not hold s.mu.
func (s *Server) authorize(c caller, r accessRequest) error {
	if c.root {
		return nil
	}
	return s.access.authorize(c, r)
}
