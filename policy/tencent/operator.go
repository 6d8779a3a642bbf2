package tencent

import (
	"slices"
	"strings"
)

// An operator is the name of a condition operator, taken apart.
type operator struct {
	set     string // for_all_value, for_any_value or empty
	base    string // string_not_equal
	ifExist bool
}

// The operators of CAM (598/10608).
var operators = []string{
	"string_equal", "string_not_equal", "string_equal_ignore_case", "string_not_equal_ignore_case", "string_like", "string_not_like",
	"numeric_equal", "numeric_not_equal", "numeric_greater_than", "numeric_greater_than_equal", "numeric_less_than", "numeric_less_than_equal",
	"date_equal", "date_not_equal", "date_greater_than", "date_greater_than_equal", "date_less_than", "date_less_than_equal",
	"bool_equal", "ip_equal", "ip_not_equal", "null_equal",
}

func splitOperator(name string) operator {
	var o operator
	if set, base, ok := strings.Cut(name, ":"); ok {
		o.set, name = set, base
	}
	o.base, o.ifExist = strings.CutSuffix(name, "_if_exist")
	return o
}

func (o operator) known() bool {
	return slices.Contains([]string{"", "for_all_value", "for_any_value"}, o.set) && slices.Contains(operators, o.base)
}

func (o operator) negated() bool { return strings.Contains(o.base, "_not_") }

// requires says whether the condition needs its key, and one of its values. At CAM a
// negated operator needs the key too, but says only what the value is not.
func (o operator) requires() bool {
	return !o.negated() && !o.ifExist && o.set != "for_all_value" && o.base != "null_equal"
}

// wild says whether * in a value is a wildcard.
func (o operator) wild() bool { return o.base == "string_like" || o.base == "string_not_like" }

// A condition is one key of one operator.
type condition struct {
	operator
	key    string // in lower case
	values []string
}

// list returns the conditions in a steady order.
func (c Conditions) list() []condition {
	var all []condition
	for op, keys := range c {
		for key, values := range keys {
			all = append(all, condition{splitOperator(op), strings.ToLower(key), values})
		}
	}
	slices.SortFunc(all, func(a, b condition) int {
		return strings.Compare(a.key+"\x00"+a.set+a.base, b.key+"\x00"+b.set+b.base)
	})
	return all
}
