package aws

// TakeForAWS has the tests of this package take a host for one of AWS until the function that it
// returns is called.
func TakeForAWS(host string) (end func()) {
	before := awsHosts
	awsHosts = append(append([]string(nil), before...), host)
	return func() { awsHosts = before }
}
