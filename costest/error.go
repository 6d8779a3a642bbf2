package costest

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// An apiError is an error of the object API.
type apiError struct {
	status                     int
	code, message              string
	stringToSign, formatString string // for SignatureDoesNotMatch
	serverTime                 string // for a signature that is no longer valid
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func failure(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// errAccessDenied is the usual denial, with the exact text of the service.
var errAccessDenied = failure(http.StatusForbidden, "AccessDenied", "Access Denied.")

type errorXML struct {
	XMLName      xml.Name `xml:"Error"`
	Code         string
	Message      string
	ServerTime   string `xml:",omitempty"`
	StringToSign string `xml:",omitempty"`
	FormatString string `xml:",omitempty"`
	Resource     string
	RequestID    string `xml:"RequestId"`
	TraceID      string `xml:"TraceId"`
}

// xmlHeader is the first line of every document of the service.
const xmlHeader = "<?xml version='1.0' encoding='utf-8' ?>\n"

// ErrorXML returns the body of an error response of COS, for [RespondBefore] and [ApplyThen].
func ErrorXML(code, message string) string {
	return marshal(errorXML{Code: code, Message: message, Resource: "costest", RequestID: newID(), TraceID: newID()})
}

func marshal(v any) string {
	b, err := xml.Marshal(v)
	if err != nil {
		panic("costest: " + err.Error())
	}
	return xmlHeader + string(b)
}
