package aws

import "github.com/objectvault/objectvault/vault"

// TakeForAWS makes this package treat a host as one of AWS, until the test calls the returned
// function.
func TakeForAWS(host string) (end func()) {
	before := awsHosts
	awsHosts = append(append([]string(nil), before...), host)
	return func() { awsHosts = before }
}

// SetCopySize sets the size of the parts that a splice copies.
func SetCopySize(s *vault.Store, n int64) { s.Splice.(*store).copySize = n }
