package costest

import "time"

// A caller is who signed a request.
type caller struct {
	anonymous     bool
	root          bool   // the owner's own key: allowed everything
	keyID         string // of the key that signed, "" if anonymous
	uin           string // the account that the key belongs to
	subUin        string // a sub-user's own uin, "" if none
	roleID        string // of the role that was assumed, "" if none
	roleName      string
	session       string // the role session's name
	sessionPolicy string // a policy document in JSON, "" if none
}

// A credential is an access key as the server keeps it.
type credential struct {
	keyID, secret string
	token         string    // must accompany a temporary key, "" for a permanent one
	expires       time.Time // zero for a permanent one
	caller        caller
}

// An accessRequest is one question to [Server.authorize].
type accessRequest struct {
	action   string // such as name/cos:GetObject
	bucket   string // NAME-APPID
	resource string // qcs::cos:<region>:uid/<appid>:<bucket>/<key>

	// conditions holds the condition keys that the request has, by the names that
	// policies use, in lower case: cos:secure-transport, cos:tls-version, qcs:ip,
	// cos:prefix (URL-encoded), cos:versionid, cos:content-type, cos:x-cos-acl, …
	conditions map[string]string

	bucketPolicy string // the document of PUT ?policy, "" if none
	acl          bool   // an ACL admits the caller; a deny still wins
	publicACL    bool   // an ACL admits anyone
}

// credential returns what belongs to an access key id. An expired one is returned, too:
// the signature check decides what it is answered.
func (s *Server) credential(id string, now time.Time) (credential, bool) {
	if id == s.o.SecretID {
		return credential{keyID: id, secret: s.o.SecretKey, caller: caller{root: true, keyID: id, uin: s.o.OwnerUin}}, true
	}
	return s.access.credential(id, now)
}

// authorize reports whether a caller may do what r names: nil, or an error of the
// service, AccessDenied as a rule. It is called without s.mu.
func (s *Server) authorize(c caller, r accessRequest) error {
	if c.root {
		return nil
	}
	return s.access.authorize(c, r)
}
