package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/vault"
)

const (
	skewSeen   = time.Minute
	skewTokens = 5 * time.Minute  // the lifetime of a short-lived token
	skewAWS    = 15 * time.Minute // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: RequestTimeTooSkewed
)

const skewHint = "set the clock of this machine, with NTP"

// clock compares the clock of this machine with that of the cloud.
func (e *checker) clock(ctx context.Context) {
	if e.Cloud == nil {
		e.add(ctx, "clock", found(Skipped, "clock: this store uses the clock of this machine"))
		return
	}
	before := e.now()
	server, err := e.Cloud.ServerTime(ctx)
	after := e.now()
	if err != nil {
		e.add(ctx, "clock", found(NotProven, "the cloud did not return its time: %v", err))
		return
	}
	f := skew(before.Add(after.Sub(before) / 2).Sub(server))
	e.add(ctx, "clock", f)
	if f.status == Fail {
		e.reportedCauses[fmt.Sprint("reason ", vault.ClockSkew)] = "the clock"
	}
}

// skew returns the finding for a local clock that is ahead by this much.
func skew(ahead time.Duration) finding {
	off, way := ahead.Round(time.Second), "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	switch {
	case off >= skewAWS:
		return found(Fail, "the local clock is %v %s the clock of the cloud; the cloud refuses requests if the difference is 15 minutes or more", off, way).hinted(skewHint)
	case off >= skewTokens:
		return found(Warning, "the local clock is %v %s the clock of the cloud, so tokens may seem expired or not yet valid", off, way).hinted(skewHint)
	case off >= skewSeen:
		return found(Warning, "the local clock is %v %s the clock of the cloud", off, way).hinted(skewHint)
	}
	return found(OK, "the local clock differs from the clock of the cloud by less than a minute")
}
