package aws

import (
	"slices"
	"strings"
)

// An operator is the name of a condition operator, taken apart.
type operator struct {
	set      string // ForAllValues, ForAnyValue or empty
	base     string // StringNotLike
	ifExists bool
}

// The operators of IAM; those with Not are true where the key is missing.
var operators = []string{
	"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
	"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
	"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Null",
}

func splitOperator(name string) operator {
	var o operator
	if set, base, ok := strings.Cut(name, ":"); ok {
		o.set, name = set, base
	}
	o.base, o.ifExists = strings.CutSuffix(name, "IfExists")
	return o
}

func (o operator) known() bool {
	return slices.Contains([]string{"", "ForAllValues", "ForAnyValue"}, o.set) && slices.Contains(operators, o.base) &&
		!(o.base == "Null" && (o.ifExists || o.set != ""))
}

func (o operator) negated() bool { return strings.Contains(o.base, "Not") }

// requires says whether the condition is false where its key is missing.
func (o operator) requires() bool {
	return !o.negated() && !o.ifExists && o.set != "ForAllValues" && o.base != "Null"
}

// wild says whether * and ? in a value are wildcards.
func (o operator) wild() bool {
	return slices.Contains([]string{"StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"}, o.base)
}

// exact says whether only the values themselves match.
func (o operator) exact() bool {
	return o.requires() && o.set == "" && (o.base == "StringEquals" || o.base == "StringEqualsIgnoreCase")
}

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

// isNull says whether the condition is Null with the given value.
func (c condition) isNull(value string) bool {
	return c.base == "Null" && slices.ContainsFunc(c.values, func(v string) bool { return strings.EqualFold(v, value) })
}
