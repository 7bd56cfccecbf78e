package creatiotest

import (
	"encoding/json"
	"net/http"
)

// refuseService answers a service call without a session: .NET Framework sends
// to the login page, which is HTML with 200 (wire/creatio.md §2.3).
func (s *Server) refuseService(w http.ResponseWriter, e *odataError) {
	if s.opts.Framework && e.status == http.StatusUnauthorized {
		w.Header().Set("Location", "/Login/NuiLogin.aspx")
		w.WriteHeader(http.StatusFound)
		return
	}
	writeJSON(w, e.status, e.body)
}

func (s *Server) serveService(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch path {
	case "/DataService/json/SyncReply/QuerySysSettings":
		s.querySettings(w, body)
	case "/DataService/json/SyncReply/PostSysSettingsValues":
		s.postSettings(w, body)
	case "/ServiceModel/ApplicationInfoService.svc/GetApplicationInfo":
		writeJSON(w, http.StatusOK, map[string]any{"applicationInfo": map[string]any{"sysValues": map[string]any{"coreVersion": s.opts.Version}}})
	default:
		http.NotFound(w, r)
	}
}

// querySettings reads system settings by code (wire §4).
func (s *Server) querySettings(w http.ResponseWriter, body []byte) {
	var in struct {
		Codes []string `json:"sysSettingsNameCollection"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Codes == nil {
		writeJSON(w, http.StatusOK, map[string]any{"success": false,
			"errorInfo": map[string]any{"errorCode": "ArgumentNullException", "message": "Value cannot be null.", "stackTrace": ""}})
		return
	}
	values, missing := map[string]any{}, []string{}
	for _, code := range in.Codes {
		value, ok := s.settings[code]
		if !ok {
			missing = append(missing, code)
			continue
		}
		values[code] = map[string]any{"code": code, "value": value, "isCacheable": true}
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "values": values, "notFoundSettings": missing, "rowsAffected": -1})
}

func (s *Server) postSettings(w http.ResponseWriter, body []byte) {
	var in struct {
		Values map[string]any `json:"sysSettingsValues"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		writeJSON(w, http.StatusOK, map[string]any{"success": false})
		return
	}
	saved := map[string]bool{}
	for code, value := range in.Values {
		s.settings[code] = value
		saved[code] = true
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "saveResult": saved})
}
