package oldserver

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// A handler handles a request with a valid token. If it returns an error, it has sent nothing.
type handler func(http.ResponseWriter, *http.Request, Token) error

// authorized returns a handler that checks the token before h, and sends the error of h.
func (s *Server) authorized(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := error(refusal{http.StatusUnauthorized, "unauthorized", "the bearer token is missing or unknown"})
		if t, known := s.tokens[bearer(r)]; known {
			err = h(w, r, t)
		}
		var wait limited
		var refused refusal
		switch {
		case err == nil:
		case errors.As(err, &wait):
			wait.respond(w)
		case errors.As(err, &refused):
			respond(w, refused.status, map[string]string{"error": refused.code, "message": refused.message})
		default:
			respond(w, http.StatusInternalServerError, map[string]string{"error": "internal", "message": "the database failed"})
		}
	}
}

// bearer returns the token of a request, or "".
func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// scoped reports whether the token permits less than everything for its wallet.
func (t Token) scoped() bool { return t.Services != nil || t.ReadOnly }

func (t Token) includes(service string) bool {
	return t.Services == nil || slices.Contains(t.Services, service)
}

func (t Token) checkAgent(agent string) error {
	switch {
	case agent == "":
		return refusal{http.StatusBadRequest, "bad_request", "agent_id is missing"}
	case !strings.EqualFold(agent, t.Wallet):
		return refusal{http.StatusForbidden, "forbidden", "the token is for another agent"}
	}
	return nil
}

func (t Token) checkService(service string) error {
	switch {
	case service == "":
		return refusal{http.StatusBadRequest, "bad_request", "service is missing"}
	case !t.includes(service):
		return refusal{http.StatusForbidden, "forbidden", "the service is out of the scope of the token"}
	}
	return nil
}
