package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// nearest returns at most n of known that are a typing error away from word, the
// nearest first.
func nearest(word string, known []string, n int) []string {
	type candidate struct {
		text string
		away int
	}
	var near []candidate
	limit := max(1, min(3, len(word)/3))
	for _, k := range known {
		if diff := len(k) - len(word); diff > limit || -diff > limit || len(k) < 2 {
			continue
		}
		if away := distance(strings.ToLower(word), strings.ToLower(k)); away <= limit {
			near = append(near, candidate{k, away})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.away, b.away) })
	var texts []string
	for _, c := range near[:min(n, len(near))] {
		texts = append(texts, c.text)
	}
	return texts
}

// distance counts the letters to insert, remove, replace or swap with their neighbour.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, now := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		now[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(t)]
}

// How far a listing goes that nobody asked for.
const (
	nearNames = 2000
	nearTime  = 2 * time.Second
)

// someNames lists the start of a vault, for suggestions. Not being able to is fine.
func someNames(ctx context.Context, v *vault.Vault, prefix string) []string {
	ctx, cancel := context.WithTimeout(ctx, nearTime)
	defer cancel()
	var names []string
	for e, err := range v.List(ctx, prefix) {
		if err != nil || len(names) == nearNames {
			break
		}
		if !e.Foreign {
			names = append(names, string(e.Name))
		}
	}
	return names
}
