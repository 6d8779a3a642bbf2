package aws

// TakeForAWS makes this package treat a host as one of AWS, until the test calls the returned
// function.
func TakeForAWS(host string) (end func()) {
	before := awsHosts
	awsHosts = append(append([]string(nil), before...), host)
	return func() { awsHosts = before }
}
