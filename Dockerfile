# Lastcall as an image of one binary, with the panel in it. Every service of docker-compose.yml is this image with another command.

FROM node:20-bookworm-slim AS panel
WORKDIR /src/ui
COPY ui/package.json ui/package-lock.json ui/.npmrc ./
RUN npm ci
COPY ui .
RUN npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=panel /src/ui/dist ui/dist
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /lastcall ./cmd/lastcall

FROM alpine:3.22
RUN adduser -D -H -u 10001 lastcall && mkdir /data && chown lastcall /data
COPY --from=build /lastcall /usr/local/bin/lastcall
USER lastcall
ENV LASTCALL_DATA_DIR=/data
VOLUME /data
ENTRYPOINT ["lastcall"]
CMD ["help"]
