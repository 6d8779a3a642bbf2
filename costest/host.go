package costest

import (
	"net"
	"net/http"
	"regexp"
	"strings"
)

// A place is the target of a host.
type place int

const (
	atBucket    place = iota // the bucket in the host
	atLoopback               // the bucket of the options, or STS, CAM or KMS
	atService                // the list of buckets
	atPathStyle              // path style, which is rejected
	atSTS
	atCAM
	atKMS
	atElsewhere
)

// bucketHost matches a host of COS. The host of a bucket is <bucket>.cos.<region>.<domain>.
var bucketHost = regexp.MustCompile(`^(?:([a-z0-9-]+)\.)?(cos|cos-internal)\.([a-z0-9-]+)\.(myqcloud\.com|tencentcos\.cn)$`)

// locate returns the target of a host, its bucket (for path style, its region), and whether it uses
// global acceleration.
func (s *Server) locate(host string) (at place, bucket string, accelerated bool) {
	name := strings.ToLower(host)
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	name = strings.TrimSuffix(name, ".")
	if ip := net.ParseIP(strings.Trim(name, "[]")); name == "localhost" || ip != nil && ip.IsLoopback() {
		return atLoopback, s.o.Bucket, false
	}
	if m := bucketHost.FindStringSubmatch(name); m != nil {
		accelerated = m[3] == "accelerate"
		switch {
		case m[1] == "service" || m[1] == "" && m[3] == "service":
			return atService, "", false
		case m[1] == "":
			return atPathStyle, m[3], false
		case !accelerated && m[3] != s.o.Region:
			return atBucket, "", false // there is no such bucket in this region
		}
		return atBucket, m[1], accelerated
	}
	switch {
	case name == "service.cos.myqcloud.com":
		return atService, "", false
	case strings.HasPrefix(name, "sts.") && strings.HasSuffix(name, ".tencentcloudapi.com"), name == "sts.tencentcloudapi.com":
		return atSTS, "", false
	case strings.HasPrefix(name, "cam.") && strings.HasSuffix(name, ".tencentcloudapi.com"), name == "cam.tencentcloudapi.com":
		return atCAM, "", false
	case strings.HasPrefix(name, "kms.") && strings.HasSuffix(name, ".tencentcloudapi.com"), name == "kms.tencentcloudapi.com":
		return atKMS, "", false
	}
	return atElsewhere, "", false
}

// api determines the API of a request to a loopback host, from its version.
func api(r *http.Request) place {
	if r.Header.Get("X-TC-Action") == "" {
		return atLoopback
	}
	switch r.Header.Get("X-TC-Version") {
	case "2018-08-13":
		return atSTS
	case "2019-01-16":
		return atCAM
	case "2019-01-18":
		return atKMS
	}
	return atLoopback
}

// maxHost is the maximum length of the complete host of a bucket.
const maxHost = 60

// checkBucketName checks the name of a bucket, <name>-<appid>, against the rules (436/13312).
func (s *Server) checkBucketName(name string) error {
	if !bucketName.MatchString(name) || len(s.bucketHost(name)) > maxHost {
		return failure(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	}
	return nil
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*-[0-9]{5,}$`)

func appID(bucket string) string { return bucket[strings.LastIndexByte(bucket, '-')+1:] }
