package tencent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/vault"
)

// ServerTime asks the service what time it is: every answer of COS has a Date (436/7729). It
// is one HEAD of the bucket that nobody signs, so that the answer is most likely a refusal,
// and neither credentials nor a right clock are needed.
func ServerTime(ctx context.Context, c Config) (time.Time, error) {
	c.Identity, c.Static = nil, cosblob.Static("", "", "")
	s, err := newStore(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	defer s.close()
	var answer *http.Response
	err = s.try(ctx, reading, func(ctx context.Context) error {
		resp, err := s.client.Bucket.Head(ctx)
		if resp != nil {
			answer = resp.Response
		}
		return err
	})
	var refusal *cos.ErrorResponse
	if errors.As(err, &refusal) {
		answer = refusal.Response
	} else if err != nil {
		return time.Time{}, told(err)
	}
	if answer != nil {
		if t, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: the answer has no date", vault.ErrUnavailable)
}

// told is err with its sentinel and its hint, as a store gives it.
func told(err error) error {
	if r := explain(err); r != nil {
		return r
	}
	return err
}
