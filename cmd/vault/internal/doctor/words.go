package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/bloberr"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// described returns the text of an error of st: the kind of error, and the provider's description
// of the response instead of the SDK's text.
func described(st *vault.Store, err error) string {
	kind := probe.Kind(st, err)
	if kind == nil {
		return err.Error()
	}
	before, service := splitError(err)
	before = strings.TrimSuffix(before, kind.Error()+": ")
	var cause *vault.Cause
	var coded interface{ ErrorCode() string } // an error of an SDK
	switch {
	case st.Explain != nil && errors.As(st.Explain(service), &cause):
		return before + cause.Error()
	case errors.As(service, &coded):
		return before + kind.Error()
	case errors.Is(err, kind):
		return err.Error()
	}
	return fmt.Sprintf("%v: %v", kind, err)
}

// splitError splits an error into the texts that wrap it, without the texts of package blob, and
// the innermost error.
func splitError(err error) (before string, _ error) {
	for {
		var below error
		if driver := bloberr.Driver(err); driver != nil {
			err = driver
			continue
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			below = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				below = all[len(all)-1]
			}
		}
		if below == nil {
			return before, err
		}
		words, ok := strings.CutSuffix(err.Error(), ": "+below.Error())
		if !ok {
			return before, err
		}
		before += words + ": "
		err = below
	}
}

// longest is the maximum length of a reason, in bytes.
const longest = 300

// dump matches the output of %+v for structs.
var dump = text.NewRegexp(`(: )?\[(\{[^{}]*\} ?)+\]|\{\w+:[^{}]*\}`)

// reason returns the reason for a probe's verdict, without stacks and dumps.
func reason(st *vault.Store, err error) string {
	why := strings.TrimPrefix(described(st, err), probe.ErrViolated.Error()+": ")
	why, _, _ = strings.Cut(why, "\n") // no stack
	why = dump.Get().ReplaceAllStringFunc(why, func(s string) string {
		if strings.HasPrefix(s, "{") {
			return "…"
		}
		return ""
	})
	if len(why) > longest {
		why = strings.ToValidUTF8(why[:longest], "") + "…"
	}
	return why
}

// causeOf returns the cause of an error of st, or the error if it has none.
func causeOf(st *vault.Store, err error) error {
	if !errors.As(err, new(*vault.Cause)) && st != nil && st.Explain != nil {
		_, service := splitError(err)
		if cause := st.Explain(service); cause != nil {
			return cause
		}
	}
	return err
}

// advice returns the hint for an error of st, or otherwise.
func (p *Options) advice(st *vault.Store, err error, otherwise string) string {
	if p.Hint == nil {
		return otherwise
	}
	if st != nil && st.Explain != nil {
		if cause := st.Explain(err); cause != nil {
			err = cause
		}
	}
	return p.Hint(err, otherwise)
}
