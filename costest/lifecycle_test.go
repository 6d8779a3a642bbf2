package costest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// contents describes the bucket: after each key, V and v stand for a current and an old version, M and m
// for a delete marker, and u for an upload.
func contents(t *testing.T, c *cos.Client) string {
	t.Helper()
	keys := make(map[string]string)
	add := func(key, kind string, current bool) {
		if current {
			kind = strings.ToUpper(kind)
		}
		keys[key] += kind
	}
	versions, _, err := c.Bucket.GetObjectVersions(t.Context(), nil)
	check(t, err)
	for _, m := range versions.DeleteMarker {
		add(m.Key, "m", m.IsLatest)
	}
	for _, v := range versions.Version {
		add(v.Key, "v", v.IsLatest)
	}
	uploads, _, err := c.Bucket.ListMultipartUploads(t.Context(), nil)
	check(t, err)
	for _, u := range uploads.Uploads {
		add(u.Key, "u", false)
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		list = append(list, key+":"+keys[key])
	}
	return strings.Join(list, " ")
}

// TestRunLifecycle: each action removes what it should after its days, and only what the filter selects.
func TestRunLifecycle(t *testing.T) {
	const (
		in      = "<Filter><Prefix>in/</Prefix></Filter>"
		expire  = "<Expiration><Days>3</Days></Expiration>"
		old     = "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>"
		markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
		abort   = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload>"

		plain     = "in/u:u in/x:V out/u:u out/x:V" // before the rules, in a bucket without versioning
		versioned = "in/gone:Mv in/u:u in/x:Vv out/gone:Mv out/u:u out/x:Vv"
	)
	for name, tc := range map[string]struct {
		versioning, rules, markers string
		early                      string // what remains after 2 days, if that is not everything
		days                       int    // of the last run; the server runs the rules every day
		want                       string
	}{
		"expire":           {rules: in + expire, days: 3, want: "in/u:u out/u:u out/x:V"},
		"expire versioned": {versioning: "Enabled", rules: in + expire, days: 9, want: "in/gone:Mv in/u:u in/x:Mvv out/gone:Mv out/u:u out/x:Vv"},
		// The null version is replaced by a null marker.
		"expire suspended": {versioning: "Suspended", rules: in + expire, days: 3, want: "in/gone:M in/u:u in/x:M out/gone:M out/u:u out/x:V"},
		"old versions":     {versioning: "Enabled", rules: in + old, days: 3, want: "in/gone:M in/u:u in/x:V out/gone:Mv out/u:u out/x:Vv"},
		"markers":          {versioning: "Enabled", rules: in + markers, days: 9, want: versioned},
		"old and markers":  {versioning: "Enabled", rules: in + old + markers, days: 3, want: "in/u:u in/x:V out/gone:Mv out/u:u out/x:Vv"},
		"expire and old":   {versioning: "Enabled", rules: in + expire + old, days: 5, want: "in/gone:M in/u:u in/x:Mv out/gone:Mv out/u:u out/x:Vv"},
		"later":            {versioning: "Enabled", rules: in + expire + old, days: 9, want: "in/gone:M in/u:u in/x:M out/gone:Mv out/u:u out/x:Vv"},
		"markers by days":  {versioning: "Enabled", rules: in + expire + old, markers: "remove", days: 9, want: "in/u:u out/gone:Mv out/u:u out/x:Vv"},
		"uploads":          {rules: in + abort, days: 3, want: "in/x:V out/u:u out/x:V"},
		"whole bucket":     {rules: abort, days: 3, want: "in/x:V out/x:V"},
		"past date":        {rules: in + "<Expiration><Date>2020-01-01T00:00:00+08:00</Date></Expiration>", early: "in/u:u out/u:u out/x:V", days: 3, want: "in/u:u out/u:u out/x:V"},
		"date to come":     {rules: in + "<Expiration><Date>2999-01-01T00:00:00+08:00</Date></Expiration>", days: 9, want: plain},
		"excluded prefix":  {rules: "<Filter><And><Prefix>in/</Prefix><PrefixNotEquals>in/x</PrefixNotEquals></And></Filter>" + expire + abort, days: 3, want: "in/x:V out/u:u out/x:V"},
		"larger":           {rules: "<Filter><And><Prefix>in/</Prefix><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>" + expire, days: 9, want: plain},
		"smaller":          {rules: "<Filter><And><Prefix>in/</Prefix><ObjectSizeLessThan>6</ObjectSizeLessThan></And></Filter>" + expire, days: 3, want: "in/u:u out/u:u out/x:V"},
		"another tag":      {rules: "<Filter><Tag><Key>k</Key><Value>w</Value></Tag></Filter>" + expire, days: 9, want: plain},
		"tag":              {rules: "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>" + expire, days: 3, want: "in/u:u out/u:u"},
		"disabled":         {rules: "<Status>Disabled</Status>" + in + expire, days: 9, want: plain},
	} {
		t.Run(name, func(t *testing.T) {
			o := &costest.Options{Versioning: tc.versioning}
			if tc.markers != "" {
				o.Unsure = map[string]string{"lifecycle-markers": tc.markers}
			}
			s := start(t, o)
			c := sdk(t, s, s.Bucket())
			for _, prefix := range []string{"in/", "out/"} {
				put(t, c, prefix+"x", "value")
				put(t, c, prefix+"x", "value")
				_, err := c.Object.PutTagging(t.Context(), prefix+"x", &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "k", Value: "v"}}})
				check(t, err)
				put(t, c, prefix+"gone", "value")
				_, err = c.Object.Delete(t.Context(), prefix+"gone")
				check(t, err)
				_, _, err = c.Object.InitiateMultipartUpload(t.Context(), prefix+"u", nil)
				check(t, err)
			}
			before := contents(t, c)
			doc := "<LifecycleConfiguration><Rule><Status>Enabled</Status>" + tc.rules + "</Rule></LifecycleConfiguration>"
			if strings.HasPrefix(tc.rules, "<Status>") {
				doc = strings.Replace(doc, "<Status>Enabled</Status>", "", 1)
			}
			if status, _, body := do(t, s, "PUT", "/?lifecycle", doc, owner(s), "Content-Md5", contentMD5(doc)); status != 200 {
				t.Fatal(body)
			}
			now := time.Now().UTC() // every day has 24 hours
			for day := 1; day <= tc.days; day++ {
				s.RunLifecycle(now.AddDate(0, 0, day))
				if got := contents(t, c); day == 2 && tc.early == "" && got != before || day == 2 && tc.early != "" && got != tc.early {
					t.Errorf("after 2 days: %s, before: %s", got, before)
				}
			}
			if got := contents(t, c); got != tc.want {
				t.Errorf("after %d days: %s, want %s", tc.days, got, tc.want)
			}
		})
	}
}
