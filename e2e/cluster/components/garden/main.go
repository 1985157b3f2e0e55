// Command garden is a server on Go's net/http, HTTP/1 and HTTP/2 with prior knowledge, that says which requests it saw, one JSON line
// each: `garden ADDRESS FILE`.
package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
)

type seen struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Host   string      `json:"host"`
	Fields [][2]string `json:"fields"`
	Body   string      `json:"body"`
	Cut    bool        `json:"cut"`
}

func main() {
	file, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	handler := func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		line := seen{request.Method, latin1(request.RequestURI), latin1(request.Host), [][2]string{}, hex.EncodeToString(body), err != nil}
		for name, values := range request.Header {
			for _, value := range values {
				line.Fields = append(line.Fields, [2]string{name, latin1(value)})
			}
		}
		text, err := json.Marshal(line)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := file.Write(append(text, '\n')); err != nil {
			log.Fatal(err)
		}
		io.WriteString(answer, "seen")
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(handler), Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.ListenAndServe())
}

// Each byte as the character of that number, so that JSON carries it.
func latin1(text string) string {
	characters := make([]rune, 0, len(text))
	for index := range len(text) {
		characters = append(characters, rune(text[index]))
	}
	return string(characters)
}
