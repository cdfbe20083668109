import { assertNever } from '../../src/kernel/assert-never';
import { storableJson, storableText } from '../storable';
import { baseType, type BaseType, type ColumnType } from '../projection';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/**
 * The values of one column as the text of a Postgres array. Written by hand, because it is on the path of every
 * row and the driver's general way costs more than the database does.
 * @throws TypeError for a value that is not of the type: the event it came from is broken
 */
export function arrayLiteral(type: ColumnType, values: readonly unknown[]): string {
  const base = baseType(type);
  const nullable = base !== type;
  const elements = values.map((value) => {
    if (value !== null && value !== undefined) return element(base, value);
    if (nullable) return 'NULL';
    throw new TypeError(`nothing where ${type} is needed`);
  });
  return `{${elements.join(',')}}`;
}

function element(type: BaseType, value: unknown): string {
  switch (type) {
    case 'uuid':
      if (typeof value === 'string' && UUID.test(value)) return value;
      break;
    case 'bigint':
    case 'integer':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value ? 't' : 'f';
      break;
    case 'text':
      if (typeof value === 'string') return quoted(storableText(value));
      break;
    case 'jsonb':
      return quoted(storableJson(value));
    default:
      return assertNever(type);
  }
  throw new TypeError(`not of type ${type}: ${JSON.stringify(value)}`);
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
