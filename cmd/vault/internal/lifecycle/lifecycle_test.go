package lifecycle_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/objectvault/objectvault/cmd/vault/internal/lifecycle"
)

// TestExpiry: the earliest rule that applies to an object counts.
func TestExpiry(t *testing.T) {
	written := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := func(days int) time.Time { return written.AddDate(0, 0, days) }
	rule := func(filter, rest string) string {
		return "<Rule>" + filter + "<Status>Enabled</Status>" + rest + "</Rule>"
	}
	const (
		bots    = "<Filter><Prefix>bots/</Prefix></Filter>"
		days30  = "<Expiration><Days>30</Days></Expiration>"
		days7   = "<Expiration><Days>7</Days></Expiration>"
		old     = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
		markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
	)
	for name, tc := range map[string]struct {
		rules, scheme string
		want          time.Time
		text          string
	}{
		"none":            {rules: ""},
		"days":            {rule(bots, days30), "s3", after(30), "30 days after it was written"},
		"earliest":        {rule(bots, days30) + rule("<Filter><Prefix>bots/me/</Prefix></Filter>", days7), "s3", after(7), "7 days after it was written"},
		"date":            {rule(bots, "<Expiration><Date>2026-01-05T00:00:00+08:00</Date></Expiration>") + rule(bots, days7), "cos", time.Date(2026, 1, 4, 16, 0, 0, 0, time.UTC), "on a fixed date"},
		"invalid date":    {rules: rule(bots, "<Expiration><Date>soon</Date></Expiration>")},
		"old form":        {rule("<Prefix>bots/</Prefix>", days7), "s3", after(7), "7 days after it was written"},
		"and":             {rule("<Filter><And><Prefix>bots/</Prefix><ObjectSizeLessThan>200</ObjectSizeLessThan></And></Filter>", days7), "s3", after(7), "7 days after it was written"},
		"larger":          {rules: rule("<Filter><And><Prefix>bots/</Prefix><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></And></Filter>", days7), scheme: "s3"},
		"not smaller":     {rules: rule("<Filter><ObjectSizeLessThan>100</ObjectSizeLessThan></Filter>", days7), scheme: "s3"},
		"smaller":         {rule("<Filter><ObjectSizeLessThan>101</ObjectSizeLessThan></Filter>", days7), "s3", after(7), "7 days after it was written"},
		"not larger":      {rules: rule("<Filter><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></Filter>", days7), scheme: "s3"},
		"tag in and":      {rules: rule("<Filter><And><Prefix>bots/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", days7), scheme: "s3"},
		"excluded":        {rules: rule("<Filter><And><Prefix>bots/</Prefix><PrefixNotEquals>bots/me/</PrefixNotEquals></And></Filter>", days7), scheme: "cos"},
		"tags":            {rules: rule("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>", days7), scheme: "cos"},
		"another prefix":  {rules: rule("<Filter><Prefix>logs/</Prefix></Filter>", days7), scheme: "s3"},
		"disabled":        {rules: "<Rule>" + bots + "<Status>Disabled</Status>" + days7 + "</Rule>", scheme: "s3"},
		"other actions":   {rules: rule(bots, old+markers), scheme: "s3"},
		"no filter at S3": {rules: rule("", days7), scheme: "s3"},
		"no filter":       {rule("", days7), "cos", after(7), "7 days after it was written"},
	} {
		document := ""
		if tc.rules != "" {
			document = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + tc.rules + "</LifecycleConfiguration>"
		}
		rules, err := lifecycle.Parse(tc.scheme, document)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		at, text := lifecycle.Expiry(rules, lifecycle.Object{Key: "bots/me/credentials/a.enc", Size: 100, Modified: written})
		if !at.Equal(tc.want) || text != tc.text {
			t.Errorf("%s: %v, %q, want %v, %q", name, at, text, tc.want, tc.text)
		}
	}
	sized, err := lifecycle.Parse("s3", "<LifecycleConfiguration>"+rule("<Filter><ObjectSizeLessThan>200</ObjectSizeLessThan></Filter>", days7)+"</LifecycleConfiguration>")
	if at, _ := lifecycle.Expiry(sized, lifecycle.Object{Key: "a", Size: -1, Modified: written}); err != nil || !at.IsZero() {
		t.Errorf("a condition on an unknown size: %v, %v", at, err)
	}
	// Days are days of UTC, whatever the zone of the time, as here with a change of the clock in between.
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	spring := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	rules, _ := lifecycle.Parse("s3", "<LifecycleConfiguration>"+rule(bots, days7)+"</LifecycleConfiguration>")
	if at, _ := lifecycle.Expiry(rules, lifecycle.Object{Key: "bots/a", Modified: spring.In(berlin)}); !at.Equal(spring.AddDate(0, 0, 7)) {
		t.Errorf("across a change of the clock: %v", at)
	}
	if _, err := lifecycle.Parse("s3", "<html>"); err == nil {
		t.Error("a web page has no rules")
	}
}
