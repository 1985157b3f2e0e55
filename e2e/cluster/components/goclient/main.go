// Command goclient sends a GET and a POST with Go's own client to an echo server: `goclient URL http1|h2`.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1], os.Args[2] == "h2"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url string, h2 bool) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	body := strings.Repeat("x", 64*1024)
	for _, method := range []string{"GET", "POST"} {
		sent := ""
		if method == "POST" {
			sent = body
		}
		request, err := http.NewRequest(method, url+"/hello?a=b", bytes.NewBufferString(sent))
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		var echo struct{ Method, Path, Body string }
		err = json.NewDecoder(response.Body).Decode(&echo)
		response.Body.Close()
		if err != nil {
			return err
		}
		if response.StatusCode != 200 || echo.Method != method || echo.Path != "/hello?a=b" || echo.Body != sent {
			return fmt.Errorf("%s: status %d, echo %s %s with %d bytes", method, response.StatusCode, echo.Method, echo.Path, len(echo.Body))
		}
		if (response.ProtoMajor == 2) != h2 {
			return fmt.Errorf("%s was answered in %s", method, response.Proto)
		}
	}
	return nil
}
