import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Plot {
  readonly title: string;
  readonly subtitle: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
}

const WIDTH = 460;
const HEIGHT = 260;

/** Sizes on a logarithmic axis, costs on a linear one that begins at nothing: what is flat is flat. @returns SVG */
export async function plot({ title, subtitle, x, y, lines }: Plot): Promise<string> {
  const values = lines.flatMap(({ name, points }) => points.map((point) => ({ ...point, line: name })));
  const spec: TopLevelSpec = {
    background: 'white',
    padding: 12,
    width: WIDTH,
    height: HEIGHT,
    title: { text: title, subtitle, anchor: 'start' },
    data: { values },
    mark: { type: 'line', point: { size: 60 } },
    encoding: {
      x: {
        field: 'x',
        type: 'quantitative',
        scale: { type: 'log' },
        title: x,
        axis: { format: '~s', tickCount: 6 },
      },
      y: { field: 'y', type: 'quantitative', scale: { zero: true }, title: y },
      color: {
        field: 'line',
        type: 'nominal',
        sort: null,
        legend: lines.length > 1 ? { title: null, orient: 'top-left', labelLimit: 0 } : null,
      },
    },
  };
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
