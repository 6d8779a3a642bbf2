package memfs

import "math/rand/v2"

// A sortedSet is a set of strings in the order of their bytes. Each operation takes logarithmic
// time: the set is a treap, a search tree that random priorities keep balanced.
type sortedSet struct {
	root  *treapNode
	steps int // number of visited nodes, for tests
}

type treapNode struct {
	key         string
	priority    uint64 // greater than or equal to those of the nodes below
	left, right *treapNode
}

// has reports whether key is in the set.
func (s *sortedSet) has(key string) bool {
	n := s.root
	for n != nil && n.key != key {
		s.steps++
		if key < n.key {
			n = n.left
		} else {
			n = n.right
		}
	}
	return n != nil
}

func (s *sortedSet) add(key string) {
	if !s.has(key) {
		before, after := s.split(s.root, key)
		s.root = s.join(s.join(before, &treapNode{key: key, priority: rand.Uint64()}), after)
	}
}

func (s *sortedSet) remove(key string) {
	if s.has(key) {
		before, rest := s.split(s.root, key)
		_, after := s.split(rest, key+"\x00")
		s.root = s.join(before, after)
	}
}

// from calls yield for the strings that are not less than least, in order, until yield returns
// false.
func (s *sortedSet) from(least string, yield func(string) bool) {
	s.walk(s.root, least, yield)
}

func (s *sortedSet) walk(n *treapNode, least string, yield func(string) bool) bool {
	if n == nil {
		return true
	}
	s.steps++
	if n.key < least {
		return s.walk(n.right, least, yield)
	}
	return s.walk(n.left, least, yield) && yield(n.key) && s.walk(n.right, "", yield)
}

// split splits a tree into the strings that are less than key and the others.
func (s *sortedSet) split(n *treapNode, key string) (less, others *treapNode) {
	if n == nil {
		return nil, nil
	}
	s.steps++
	if n.key < key {
		n.right, others = s.split(n.right, key)
		return n, others
	}
	less, n.left = s.split(n.left, key)
	return less, n
}

// join returns the union of two trees; all strings of a come before those of b.
func (s *sortedSet) join(a, b *treapNode) *treapNode {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	s.steps++
	if a.priority > b.priority {
		a.right = s.join(a.right, b)
		return a
	}
	b.left = s.join(a, b.left)
	return b
}
