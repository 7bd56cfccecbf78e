package creatiotest

import (
	"encoding/json"
	"errors"
	"net/http"
)

// odataError is a refusal with the body shapes of wire/creatio.md §3, "Error
// bodies".
type odataError struct {
	status int
	body   map[string]any
}

func (e *odataError) Error() string {
	b, _ := json.Marshal(e.body)
	return string(b)
}

func plainError(status int, message string) *odataError {
	return &odataError{status, map[string]any{"error": map[string]any{"code": "", "message": message}}}
}

func badRequest(message string) *odataError { return plainError(http.StatusBadRequest, message) }

func serverError(message string) *odataError {
	return plainError(http.StatusInternalServerError, message)
}

func notFound(object, id string) *odataError {
	return plainError(http.StatusNotFound, "Resource not found for the segment '"+object+"("+id+")'.")
}

// dbError wraps a database refusal: the text stands in innererror.
func dbError(message string) *odataError {
	return &odataError{http.StatusInternalServerError, map[string]any{"error": map[string]any{"code": "", "message": "An error has occurred.",
		"innererror": map[string]any{"message": message, "type": "System.Data.SqlClient.SqlException", "stacktrace": "   at Terrasoft.Core.DB.Insert.Execute()"}}}}
}

func denied() *odataError {
	return &odataError{http.StatusUnauthorized, map[string]any{"Message": "Authorization has been denied for this request."}}
}

// noRoute is what an unknown object answers, even with status 200 (wire §3,
// "After creating a new object").
func noRoute(object string) *odataError {
	return &odataError{http.StatusOK, map[string]any{"Message": "No HTTP resource was found that matches the request URI.",
		"MessageDetail": "No type was found that matches the controller named '" + object + "'."}}
}

func asODataError(err error) *odataError {
	var e *odataError
	if errors.As(err, &e) {
		return e
	}
	return serverError(err.Error())
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8; odata.metadata=minimal")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
