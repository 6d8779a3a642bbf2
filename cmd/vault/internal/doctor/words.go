package doctor

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// described is an error of st in words: what it is, and what its cloud said. Of the answer
// of a service it is what the provider makes of that, and not the text of an SDK.
func described(st *vault.Store, err error) string {
	kind, its := probe.Kind(st, err), answered(err)
	if kind == nil {
		return err.Error()
	}
	if its != nil && st.Explain != nil {
		before, _, _ := strings.Cut(err.Error(), its.Error())
		before = strings.TrimSuffix(before, kind.Error()+": ")
		var told hinting
		var service interface{ ErrorCode() string }
		switch is := st.Explain(its); {
		case errors.As(is, &told): // and so it tells all in its text
			return before + is.Error()
		case errors.As(its, &service):
			return before + kind.Error()
		}
	}
	if errors.Is(err, kind) {
		return err.Error()
	}
	return fmt.Sprintf("%v: %v", kind, err)
}

// answered is the error below the words that package fmt put before it, or nil where
// there are only words.
func answered(err error) error {
	if err == nil {
		return nil
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := t.PkgPath(); p != "fmt" && p != "errors" {
		return err
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return answered(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range u.Unwrap() {
			if its := answered(err); its != nil {
				return its
			}
		}
	}
	return nil
}

// longest is how much of a reason is told.
const longest = 300

// dump is what %+v makes of a struct, or of several.
var dump = regexp.MustCompile(`(: )?\[(\{[^{}]*\} ?)+\]|\{\w+:[^{}]*\}`)

// reason is why a probe came to its verdict, without what only its author understands.
func reason(st *vault.Store, err error) string {
	why := strings.TrimPrefix(described(st, err), probe.ErrNotHonoured.Error()+": ")
	why, _, _ = strings.Cut(why, "\n") // no stack
	why = dump.ReplaceAllStringFunc(why, func(s string) string {
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

type hinting interface{ Hint() string }

// advice is what to do about an error of st: what its provider says, or else otherwise.
func advice(st *vault.Store, err error, otherwise string) string {
	var told hinting
	if errors.As(err, &told) && told.Hint() != "" {
		return told.Hint()
	}
	if st != nil && st.Explain != nil {
		if is := st.Explain(err); errors.As(is, &told) && told.Hint() != "" {
			return told.Hint()
		}
	}
	return otherwise
}
