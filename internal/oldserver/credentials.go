package oldserver

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("POST /credential/store", s.authorized(s.store))
	m.HandleFunc("GET /credential/read", s.authorized(s.read))
	m.HandleFunc("GET /credential/list", s.authorized(s.list))
	m.HandleFunc("DELETE /credential/teardown", s.authorized(s.teardown))
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	m.HandleFunc("POST /session/ping", fixed(accepted))
	m.HandleFunc("GET /session/info", fixed(map[string]string{"server": "oldserver"}))
	return m
}

var accepted = map[string]bool{"ok": true}

// A request contains the members that the calls have in common.
type request struct {
	Agent   string `json:"agent_id"`
	Service string `json:"service"`
	Value   string `json:"ciphertext"`
}

func (s *Server) store(w http.ResponseWriter, r *http.Request, t Token) error {
	in, err := fromBody(w, r)
	if err != nil {
		return err
	}
	if err := errors.Join(t.checkAgent(in.Agent), t.checkService(in.Service)); err != nil {
		return err
	}
	if t.ReadOnly {
		return refusal{http.StatusForbidden, "forbidden", "the token is read-only"}
	}
	value, err := base64.StdEncoding.DecodeString(in.Value)
	if err != nil {
		return refusal{http.StatusBadRequest, "bad_request", "ciphertext is not standard base64"}
	}
	now := s.now().Unix()
	_, err = s.db.ExecContext(r.Context(), `
		INSERT INTO credentials VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET ciphertext = excluded.ciphertext, updated_at = excluded.updated_at`,
		strings.ToLower(in.Agent), in.Service, value, now, now)
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, accepted)
	return nil
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, t Token) error {
	in := fromQuery(r)
	if err := errors.Join(t.checkAgent(in.Agent), t.checkService(in.Service)); err != nil {
		return err
	}
	if wait := s.limit.take(bearer(r), s.now()); wait > 0 {
		return limited(wait)
	}
	var value []byte
	err := s.db.QueryRowContext(r.Context(), `SELECT ciphertext FROM credentials WHERE wallet_address = ? AND service_name = ?`,
		strings.ToLower(in.Agent), in.Service).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return refusal{http.StatusNotFound, "not_found", "the agent has no such credential"}
	} else if err != nil {
		return err
	}
	respond(w, http.StatusOK, map[string]string{"ciphertext": base64.StdEncoding.EncodeToString(value)})
	return nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, t Token) error {
	in := fromQuery(r)
	if err := t.checkAgent(in.Agent); err != nil {
		return err
	}
	rows, err := s.db.QueryContext(r.Context(), `SELECT service_name FROM credentials WHERE wallet_address = ? ORDER BY service_name`, strings.ToLower(in.Agent))
	if err != nil {
		return err
	}
	defer rows.Close()
	services := []string{} // not null in JSON
	for rows.Next() {
		var service string
		if err := rows.Scan(&service); err != nil {
			return err
		}
		if t.includes(service) {
			services = append(services, service)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	respond(w, http.StatusOK, map[string][]string{"services": services})
	return nil
}

func (s *Server) teardown(w http.ResponseWriter, r *http.Request, t Token) error {
	in, err := fromBody(w, r)
	if err != nil {
		return err
	}
	if err := t.checkAgent(in.Agent); err != nil {
		return err
	}
	if t.scoped() {
		return refusal{http.StatusForbidden, "forbidden", "teardown needs a token without a scope"}
	}
	if _, err := s.db.ExecContext(r.Context(), `DELETE FROM credentials WHERE wallet_address = ?`, strings.ToLower(in.Agent)); err != nil {
		return err
	}
	respond(w, http.StatusOK, accepted)
	return nil
}

func fromQuery(r *http.Request) request {
	q := r.URL.Query()
	return request{Agent: q.Get("agent_id"), Service: q.Get("service")}
}

func fromBody(w http.ResponseWriter, r *http.Request) (in request, err error) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&in); err != nil {
		return in, refusal{http.StatusBadRequest, "bad_request", "the body is not JSON, or is longer than 4 MiB"}
	}
	return in, nil
}

// A refusal is an error response.
type refusal struct {
	status        int
	code, message string
}

func (e refusal) Error() string { return strconv.Itoa(e.status) + " " + e.code + ": " + e.message }

func fixed(body any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { respond(w, http.StatusOK, body) }
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
