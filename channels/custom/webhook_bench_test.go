package custom_test

import (
	"net/http"
	"testing"

	"waggle/channels/custom"
)

// BenchmarkWebhook proves and reads one delivery.
func BenchmarkWebhook(b *testing.B) {
	a := custom.New(http.DefaultClient, clock)
	r := request(encodedCode, []byte(`{"type":"message","id":"m-1","user":{"id":"ann-42","name":"Ann Lee","username":"annlee","language":"en"},
		"text":"Where is my order? It was to come yesterday, and nobody answers the telephone.","at":"2026-11-21T10:00:00Z"}`))
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.Webhook(b.Context(), hooked, r); err != nil || len(d.Events) != 1 {
			b.Fatal(d, err)
		}
	}
}
