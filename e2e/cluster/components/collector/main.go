// Command collector takes OTLP over HTTP and adds every span to a file as one line of JSON: `collector ADDRESS FILE`.
//
// It reads what it gets with the messages that OpenTelemetry publishes, so what it writes is what any collector sees.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

type span struct {
	Trace      string         `json:"trace"`
	Span       string         `json:"span"`
	Parent     string         `json:"parent"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Status     string         `json:"status"`
	Nanos      int64          `json:"nanos"`
	Resource   map[string]any `json:"resource"`
	Attributes map[string]any `json:"attributes"`
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	http.HandleFunc("POST /v1/traces", func(answer http.ResponseWriter, request *http.Request) {
		take(file, answer, request)
	})
	return http.ListenAndServe(address, nil)
}

func take(file *os.File, answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var batch collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &batch)
	}
	if err == nil && len(batch.ProtoReflect().GetUnknown()) > 0 {
		err = fmt.Errorf("fields that OTLP does not have")
	}
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	for _, of := range batch.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, it := range scope.Spans {
				line, _ := json.Marshal(span{
					Trace:      hex.EncodeToString(it.TraceId),
					Span:       hex.EncodeToString(it.SpanId),
					Parent:     hex.EncodeToString(it.ParentSpanId),
					Name:       it.Name,
					Kind:       it.Kind.String(),
					Status:     it.Status.GetCode().String(),
					Nanos:      int64(it.EndTimeUnixNano - it.StartTimeUnixNano),
					Resource:   values(of.Resource.GetAttributes()),
					Attributes: values(it.Attributes),
				})
				fmt.Fprintln(file, string(line))
			}
		}
	}
	answer.Header().Set("Content-Type", "application/x-protobuf")
}

func values(attributes []*common.KeyValue) map[string]any {
	all := map[string]any{}
	for _, attribute := range attributes {
		switch value := attribute.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[attribute.Key] = value.StringValue
		case *common.AnyValue_IntValue:
			all[attribute.Key] = value.IntValue
		case *common.AnyValue_BoolValue:
			all[attribute.Key] = value.BoolValue
		}
	}
	return all
}
