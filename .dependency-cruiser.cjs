/**
 * Who may import whom: DESIGN.md section 7 as one table. A folder may import itself, what its row names, and
 * packages; everything else is an error. `types` rows may be imported for their types alone.
 */
const table = {
  'src/kernel': [],
  'src/protocol': ['src/kernel'],
  'src/domain': ['src/kernel'],
  'src/application': ['src/domain', 'src/kernel'],
  'src/config': ['src/protocol', 'src/kernel'],
  'src/observability': ['src/config', 'src/kernel'],
  'src/infrastructure': [
    'src/application',
    'src/domain',
    'src/kernel',
    'src/config',
    'src/observability',
    'embedded',
  ],
  'src/delivery': [
    'src/application/ports',
    'src/application/executor.ts',
    'src/application/outcome.ts',
    'src/domain',
    'src/protocol',
    'src/kernel',
    'src/observability',
    'src/config',
  ],
  'src/presence': ['src/application/ports', 'src/protocol', 'src/kernel', 'src/observability', 'src/config'],
  'src/identity': [
    'src/application/ports',
    'src/infrastructure/postgres',
    'src/kernel',
    'src/config',
    'src/observability',
  ],
  // What has to be done to conversations when its time has come, by a worker.
  'src/expiry': ['src/application', 'src/infrastructure/postgres', 'src/domain', 'src/kernel', 'src/config'],
  'src/gateway': [
    'src/application',
    'src/delivery',
    'src/presence',
    'src/protocol',
    'src/domain',
    'src/kernel',
    'src/config',
    'src/observability',
  ],
  'src/http': [
    'src/application',
    'src/delivery',
    'src/identity',
    'src/protocol',
    'src/domain',
    'src/kernel',
    'src/config',
    'src/observability',
  ],
  projections: [
    'src/domain',
    'src/kernel',
    'src/application/ports',
    'src/infrastructure/postgres',
    'src/observability',
  ],
  embedded: ['src/kernel'],
  sdk: ['src/protocol', 'src/kernel'],
  // The load generator knows the server by its protocol alone, as any client does; only what measures a part by
  // itself (an engine, a projection) takes that part in.
  'bench/load': [],
  'bench/report': ['bench/scenario.ts'],
  bench: [
    'embedded',
    'projections',
    'src/infrastructure',
    'src/application/ports',
    // The past that is written into a log before a measurement has to be chained as the server chains it.
    'src/application/audit-chain.ts',
    'src/domain',
    'src/kernel',
  ],
  // The judge of chaos runs folds the log by rules of its own: with the server's code it would believe its mistakes.
  'test/chaos/judge': ['test/chaos/journal.ts'],
};

const escape = (path) => path.replace(/[.]/g, '\\.');
const rows = Object.entries(table).map(([from, to]) => ({
  name: `${from.replace('src/', '')}-imports`,
  severity: 'error',
  comment: `${from} may import only: ${to.join(', ') || 'nothing'}`,
  from: { path: `^${from}/`, pathNot: '\\.spec\\.ts$' },
  to: {
    path: '^(src|projections|embedded|sdk|tools|test|bench)/',
    pathNot: [from, ...to].map((path) => `^${escape(path)}${path.endsWith('.ts') ? '$' : '/'}`),
  },
}));

module.exports = {
  forbidden: [
    ...rows,
    {
      name: 'model-imports',
      severity: 'error',
      comment: 'a read model is pure: only the runner and the rebuild touch Postgres',
      from: { path: '^projections/(?!runner|rebuild)[^/]+/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^src/(application|infrastructure)/' },
    },
    {
      name: 'no-tracing-sdk',
      severity: 'error',
      comment: 'code records through @opentelemetry/api; only main chooses what becomes of it',
      from: { pathNot: '^src/tracing\\.ts$|^test/' },
      to: { path: 'node_modules/@opentelemetry/(?!api/)' },
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'not-to-test',
      severity: 'error',
      comment: 'product code never imports tests',
      from: { pathNot: '^test/|\\.spec\\.ts$' },
      to: { path: '^test/|\\.spec\\.ts$' },
    },
    {
      name: 'no-undeclared-package',
      severity: 'error',
      from: { pathNot: '^test/|\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
