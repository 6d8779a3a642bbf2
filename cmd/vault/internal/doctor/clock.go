package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/vault"
)

const (
	skewSeen   = time.Minute
	skewTokens = 5 * time.Minute  // the life of a short token
	skewAWS    = 15 * time.Minute // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: RequestTimeTooSkewed
)

const skewHint = "set the clock of this machine, with NTP"

// clock compares the clock of this machine with that of the cloud.
func (e *checker) clock(ctx context.Context) {
	if e.Cloud == nil {
		e.say(ctx, "clock", found(Skipped, "clock: this store uses the clock of this machine"))
		return
	}
	before := e.now()
	server, err := e.Cloud.ServerTime(ctx)
	after := e.now()
	if err != nil {
		e.say(ctx, "clock", found(NotProven, "the cloud did not return its time: %v", err))
		return
	}
	f := skew(before.Add(after.Sub(before) / 2).Sub(server))
	e.say(ctx, "clock", f)
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
		return found(Fail, "the clock is %v %s the cloud's; from 15m0s on the cloud refuses requests", off, way).hinted(skewHint)
	case off >= skewTokens:
		return found(Warning, "the clock is %v %s the cloud's: tokens may seem expired or not yet valid", off, way).hinted(skewHint)
	case off >= skewSeen:
		return found(Warning, "the clock is %v %s the cloud's", off, way).hinted(skewHint)
	}
	return found(OK, "the clock differs from the cloud's by less than a minute")
}
