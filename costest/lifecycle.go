package costest

import (
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A lifecycleXML is the lifecycle of a bucket (436/8280).
type lifecycleXML struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string
	Status     string
	Filter     []lifecycleFilter
	Expiration []struct {
		Days, Date, ExpiredObjectDeleteMarker *string
	}
	Transition []struct {
		Days, Date   *string
		StorageClass string
	}
	NoncurrentVersionExpiration    []struct{ NoncurrentDays string }
	NoncurrentVersionTransition    []struct{ NoncurrentDays, StorageClass string }
	AbortIncompleteMultipartUpload []struct{ DaysAfterInitiation string }
}

type lifecycleFilter struct {
	Prefix *string
	Tag    []tag
	And    []struct {
		Prefix          *string
		PrefixNotEquals []string
		Tag             []tag
		More            *string `xml:"ObjectSizeGreaterThan"`
		Less            *string `xml:"ObjectSizeLessThan"`
	}
}

// checkLifecycle checks a lifecycle against the rules of 436/8280.
func checkLifecycle(body []byte) error {
	var doc lifecycleXML
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if len(doc.Rules) == 0 || len(doc.Rules) > 1000 {
		return errMalformedXML
	}
	ids := make(map[string]bool)
	for _, r := range doc.Rules {
		if !r.valid() || r.ID != "" && ids[r.ID] {
			return errMalformedXML
		}
		ids[r.ID] = true
	}
	return nil
}

func isDays(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 3650
}

func isDate(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func (r lifecycleRule) valid() bool {
	ok := len(r.ID) <= 255 && (r.Status == "Enabled" || r.Status == "Disabled") && len(r.Filter) <= 1 && len(r.Expiration) <= 1
	for _, f := range r.Filter {
		ok = ok && f.valid()
	}
	actions := len(r.Expiration) + len(r.Transition) + len(r.NoncurrentVersionExpiration) + len(r.NoncurrentVersionTransition) + len(r.AbortIncompleteMultipartUpload)
	ok = ok && actions > 0
	anyDays, anyDate := false, false
	for _, e := range r.Expiration {
		ok = ok && (e.Days == nil || isDays(*e.Days, 1)) && (e.Date == nil || isDate(*e.Date)) && (e.Days != nil || e.Date != nil || e.ExpiredObjectDeleteMarker != nil)
		if m := e.ExpiredObjectDeleteMarker; m != nil {
			// That it cannot be combined is documented for S3 only.
			ok = ok && (*m == "true" || *m == "false") && e.Days == nil && e.Date == nil
		}
		anyDays, anyDate = anyDays || e.Days != nil, anyDate || e.Date != nil
	}
	for _, t := range r.Transition {
		ok = ok && (t.Days == nil || isDays(*t.Days, 0)) && (t.Date == nil || isDate(*t.Date)) && t.StorageClass != ""
		anyDays, anyDate = anyDays || t.Days != nil, anyDate || t.Date != nil
	}
	for _, e := range r.NoncurrentVersionExpiration {
		ok = ok && isDays(e.NoncurrentDays, 1)
	}
	for _, t := range r.NoncurrentVersionTransition {
		ok = ok && isDays(t.NoncurrentDays, 0) && t.StorageClass != ""
	}
	for _, a := range r.AbortIncompleteMultipartUpload {
		ok = ok && isDays(a.DaysAfterInitiation, 1)
	}
	return ok && !(anyDays && anyDate)
}

// valid reports whether a filter has at most one condition. Several conditions are inside And.
func (f lifecycleFilter) valid() bool {
	n := len(f.Tag) + len(f.And)
	if f.Prefix != nil {
		n++
	}
	ok := n <= 1
	for _, a := range f.And {
		ok = ok && len(a.Tag) <= 10
		for _, size := range []*string{a.More, a.Less} {
			if size != nil {
				_, err := strconv.ParseUint(*size, 10, 63)
				ok = ok && err == nil
			}
		}
	}
	return ok
}

// selects reports whether the filter selects a version of a key. For an upload, v is nil: conditions on
// tags and sizes do not apply to uploads.
func (r lifecycleRule) selects(key string, v *version) bool {
	hasTag := func(t tag) bool { return v != nil && slices.Contains(v.tags, t) }
	prefix := func(p *string) bool { return p == nil || strings.HasPrefix(key, *p) }
	for _, f := range r.Filter {
		if !prefix(f.Prefix) || !all(f.Tag, hasTag) {
			return false
		}
		for _, a := range f.And {
			if !prefix(a.Prefix) || !all(a.Tag, hasTag) || slices.ContainsFunc(a.PrefixNotEquals, func(p string) bool { return strings.HasPrefix(key, p) }) {
				return false
			}
			if (a.More != nil || a.Less != nil) && v == nil || a.More != nil && v.data.size <= int64(number(*a.More)) || a.Less != nil && v.data.size >= int64(number(*a.Less)) {
				return false
			}
		}
	}
	return true
}

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(e T) bool { return !ok(e) })
}

// number returns a number that was checked when the lifecycle was put.
func number(s string) int { n, _ := strconv.Atoi(s); return n }

// RunLifecycle executes the lifecycle of each bucket once, as the service does every day. Everything is
// as old as it would be at the time now. Objects are not moved to another storage class.
func (s *Server) RunLifecycle(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buckets {
		var doc lifecycleXML
		if body := b.config["lifecycle"]; body == nil || parseXML(body, &doc) != nil {
			continue
		}
		run := lifecycleRun{b, now, s.unsure("lifecycle-markers") == "remove"}
		for _, r := range doc.Rules {
			if r.Status == "Enabled" {
				run.rule(r)
			}
		}
	}
}

type lifecycleRun struct {
	b       *bucket
	now     time.Time
	markers bool // an expiration also removes delete markers
}

// past reports whether a number of days has passed since t.
func (l lifecycleRun) past(t time.Time, days string) bool {
	return !l.now.Before(t.Add(time.Duration(number(days)) * 24 * time.Hour))
}

func (l lifecycleRun) rule(r lifecycleRule) {
	for _, key := range slices.Clone(l.b.keys()) {
		for _, e := range r.NoncurrentVersionExpiration {
			newer := time.Time{}
			for i, v := range l.b.objects[key] { // dropVersion makes a new array
				if i > 0 && r.selects(key, v) && l.past(newer, e.NoncurrentDays) {
					l.b.dropVersion(key, v.id)
				}
				newer = v.modified // from then on the next one was not current
			}
		}
		for _, e := range r.Expiration {
			v := l.b.latest(key)
			if v == nil || !r.selects(key, v) {
				continue
			}
			due := e.Days != nil && l.past(v.modified, *e.Days)
			if e.Date != nil {
				date, _ := time.Parse(time.RFC3339, *e.Date)
				due = !l.now.Before(date)
			}
			explicit := e.ExpiredObjectDeleteMarker != nil && *e.ExpiredObjectDeleteMarker == "true"
			switch alone := len(l.b.objects[key]) == 1; {
			case v.marker && alone && (explicit || due && l.markers):
				l.b.dropVersion(key, v.id)
			case !v.marker && due:
				l.b.remove(key, "", l.now)
			}
		}
	}
	for _, a := range r.AbortIncompleteMultipartUpload {
		maps.DeleteFunc(l.b.uploads, func(_ string, u *upload) bool {
			return r.selects(u.key, nil) && l.past(u.initiated, a.DaysAfterInitiation)
		})
	}
}
